"""Meshes: segments whose batches are split over devices, against one device alone.

`python -m support.meshes dense 4` checks a net over all devices, 4 for each member;
with several numbers, one after the other.
"""

import functools
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

import lth_jax
from lth_jax import devices, models, pruning
from lth_jax.data.augment import flip_and_crop
from lth_jax.masks import prunable_leaves
from lth_jax.removal import remove_lowest
from lth_jax.training import Best
from support.trees import assert_trees_equal

NUM_MEMBERS, BATCH_SIZE, CHUNK_SIZE = 4, 24, 20  # 50 examples leave a chunk of 10
PART = np.int32(0), np.int32(1)  # known when it runs
COLLECTIVE = re.compile(
    r"= (\S+|\(.*?\)) (all-reduce|all-gather|all-to-all|collective-permute"
    r"|reduce-scatter)(?:-start)?\("
)


class Small(nn.Module):
    """Batch normalisation or dropout, without a convolution: it compiles at once."""

    has_norm: bool
    dropout_rate: float

    @nn.compact
    def __call__(self, inputs, train=False):
        hidden = nn.Dense(7)(inputs.reshape(len(inputs), -1))
        if self.has_norm:
            hidden = nn.BatchNorm(use_running_average=not train)(hidden)
        hidden = nn.Dropout(self.dropout_rate, deterministic=not train)(nn.relu(hidden))
        return nn.Dense(4)(hidden)


# A net, and whether it is augmented.
NETS = {
    "dense": (models.LeNet(num_classes=4, hidden_sizes=(8, 6)), False),
    "normed": (Small(has_norm=True, dropout_rate=0.0), True),
    "dropped": (Small(has_norm=False, dropout_rate=0.5), True),
    "resnet": (models.ResNet(num_classes=4, channels=(4, 6), num_blocks=1), True),
    "convnet": (
        models.ConvNet(
            num_classes=4, stages=((4, 3),), hidden_sizes=(7,), dropout_rate=0.5
        ),
        True,
    ),
}
TX = optax.sgd(0.5)  # after a step, params differ by half of the gradients


def splits():
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (50, 8, 8, 3), np.uint8))
    labels = jnp.asarray(rng.integers(0, 4, 50).astype(np.int32))
    return [lth_jax.Examples(images, labels) for _ in range(3)]


def network(name):
    module, is_augmented = NETS[name]
    scaled = functools.partial(jnp.multiply, np.float32(1 / 128))
    augment = flip_and_crop if is_augmented else None
    return lth_jax.from_linen(
        module, splits()[0].inputs[:1], lambda x: scaled(x.astype(jnp.float32)), augment
    )


def members(net, number=NUM_MEMBERS):
    """State, half masks, best, one step's batches, and key of each."""

    def start(key):
        params, stats = net.init(key)
        leaves, tree = jax.tree.flatten(params)
        masks = [
            jax.random.bernoulli(jax.random.fold_in(key, i), 0.5, x.shape)
            if x.ndim > 1
            else jnp.ones(x.shape, bool)
            for i, x in enumerate(leaves)
        ]
        state = lth_jax.initial_state(params, TX, stats)
        return state, jax.tree.unflatten(tree, masks), Best.before(state)

    keys = jax.random.split(jax.random.key(1), number)
    state, masks, best = jax.jit(jax.vmap(start))(keys)
    rng = np.random.default_rng(2)
    shape = number, 1, 1, BATCH_SIZE
    return state, masks, best, rng.integers(0, 50, shape).astype(np.int32), keys


def segment_of(apply, split=lambda batches, axis: batches):
    """A segment of one step, as `lth_jax.lottery.programs` makes it."""

    def segment(state, masks, best, indices, key, part, *data):
        train = lth_jax.make_segment(apply, TX, chunk_size=CHUNK_SIZE)
        batches = split(indices, axis=-1)
        return train(state, best, masks, batches, *data, key, None, part)

    return segment


def split_over(net, num_data, how="auto", number=NUM_MEMBERS):
    """It, of all members, with so many devices for the batches of each."""
    segment = segment_of(devices.by_data(net.apply), devices.split_batch)
    return devices.over_members(segment, number, num_shared=4, how=how, num_data=num_data)


def collectives(program, *args) -> list[tuple[str, str]]:
    """What devices tell one another in a compiled program: shapes, and how."""
    text = jax.jit(program).lower(*args).compile().as_text()
    return [(shape, kind) for shape, kind in COLLECTIVE.findall(text)]


def check(name, num_data, how="auto", number=NUM_MEMBERS):
    """Asserts that all that a segment gives is what one device alone gives."""
    net, data = network(name), splits()
    own = members(net, number)
    placed = devices.replicated(data, number, num_data)
    spread = split_over(net, num_data, how, number)(*own, PART, *placed)
    found = devices.on_host(spread)
    alone = jax.jit(segment_of(net.apply))
    num_devices = len(spread[0].step.sharding.device_set)
    assert num_devices == min(number * num_data, jax.device_count())
    for m in range(number):
        expected = alone(*jax.tree.map(lambda x, m=m: x[m], own), PART, *data)
        for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
            np.testing.assert_allclose(a[m], b, rtol=1e-4, atol=1e-5)
    check_pruning(spread[0].params, own[1], num_data)


def check_pruning(params, masks, num_data):
    """Asserts that members are pruned where they lie as in NumPy, bit for bit."""
    number = len(jax.tree.leaves(params)[0])
    removed = devices.over_members(remove_lowest, number, num_shared=1, num_data=num_data)
    magnitudes = jax.tree.map(jnp.abs, params)
    alike = jax.tree.map(lambda x: jnp.round(10 * x), magnitudes)
    for scores in (magnitudes, alike):
        in_program = devices.on_host(removed(scores, masks, np.int32(9)))
        scores = devices.on_host(scores)
        for m in range(number):
            own, kept, left = jax.tree.map(
                lambda x, m=m: x[m], (scores, masks, in_program)
            )
            assert_trees_equal(left, without_lowest(own, kept, 9))
            score_of, mask_of = dict(prunable_leaves(own)), dict(prunable_leaves(kept))
            counts = {path: round(0.3 * int(x.sum())) for path, x in mask_of.items()}
            num_kept = sum(int(x.sum()) for x in mask_of.values())
            expected = {
                "layerwise": {
                    path: without_lowest(score_of[path], mask_of[path], count)
                    for path, count in counts.items()
                },
                "global": without_lowest(score_of, mask_of, round(0.3 * num_kept)),
            }
            for scope in expected:
                found = pruning.prune(own, kept, 0.3, scope=scope)
                assert_trees_equal(dict(prunable_leaves(found)), expected[scope])


def without_lowest(scores, masks, count):
    """The masks without the lowest survivors; of equals the last one goes first."""
    leaves, structure = jax.tree.flatten(masks)
    flat, kept = (
        np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])
        for tree in (scores, masks)
    )
    ascending = np.lexsort((-np.arange(flat.size), flat))
    kept[ascending[kept[ascending]][:count]] = False
    parts = np.split(kept, np.cumsum([x.size for x in leaves])[:-1])
    shaped = [part.reshape(x.shape) for part, x in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(structure, shaped)


def check_collectives(name, num_data, how="auto"):
    """Asserts that nothing but sums crosses devices in training, and no params at all."""
    net = network(name)
    own = members(net)
    placed = devices.replicated(splits(), NUM_MEMBERS, num_data)
    told = collectives(split_over(net, num_data, how), *own, PART, *placed)
    if num_data == 1:
        assert told == []
        return
    assert {kind for _, kind in told} == {"all-reduce", "all-gather"}
    # What is gathered are the outputs of chunks of examples, as evaluation measures them.
    gathered = [shape.split("{")[0] for shape, kind in told if kind == "all-gather"]
    assert all(re.fullmatch(r"f32\[(\d+,)?\d+,4\]", shape) for shape in gathered), (
        gathered
    )


if __name__ == "__main__":
    for num_data in map(int, sys.argv[2:]):
        check(sys.argv[1], num_data, number=jax.device_count() // num_data)
