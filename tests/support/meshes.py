"""Meshes: segments whose batches are split over devices, against one device alone.

`python -m support.meshes dense 4` checks a net, with 4 devices for each member.
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
from lth_jax import devices, models
from lth_jax.data.augment import flip_and_crop
from lth_jax.training import Best

NUM_MEMBERS, BATCH_SIZE, CHUNK_SIZE = 4, 24, 20  # 50 examples leave a chunk of 10
COLLECTIVE = re.compile(
    r"= (\S+|\(.*?\)) (all-reduce|all-gather|all-to-all|collective-permute"
    r"|reduce-scatter)(?:-start)?\("
)


class Dropped(nn.Module):
    """Batch normalisation and dropout, without a convolution: it compiles at once."""

    @nn.compact
    def __call__(self, inputs, train=False):
        hidden = nn.Dense(7)(inputs.reshape(len(inputs), -1))
        hidden = nn.relu(nn.BatchNorm(use_running_average=not train)(hidden))
        hidden = nn.Dropout(0.5, deterministic=not train)(hidden)
        return nn.Dense(4)(hidden)


# A net, and whether it is augmented.
NETS = {
    "dense": (models.LeNet(num_classes=4, hidden_sizes=(8, 6)), False),
    "dropped": (Dropped(), True),
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


def members(net):
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

    keys = jax.random.split(jax.random.key(1), NUM_MEMBERS)
    state, masks, best = jax.jit(jax.vmap(start))(keys)
    rng = np.random.default_rng(2)
    shape = NUM_MEMBERS, 1, 1, BATCH_SIZE
    return state, masks, best, rng.integers(0, 50, shape).astype(np.int32), keys


def segment_of(apply, split=lambda batches, axis: batches):
    """A segment of one step, as `lth_jax.lottery.programs` makes it."""

    def segment(state, masks, best, indices, key, *data):
        train = lth_jax.make_segment(apply, TX, chunk_size=CHUNK_SIZE)
        return train(state, best, masks, split(indices, axis=-1), *data, key)

    return segment


def split_over(net, num_data, how="auto"):
    """It, of all members, with so many devices for the batches of each."""
    segment = segment_of(devices.by_data(net.apply), devices.split_batch)
    return devices.over_members(
        segment, NUM_MEMBERS, num_shared=3, how=how, num_data=num_data
    )


def collectives(program, *args) -> list[tuple[str, str]]:
    """What devices tell one another in a compiled program: shapes, and how."""
    text = jax.jit(program).lower(*args).compile().as_text()
    return [(shape, kind) for shape, kind in COLLECTIVE.findall(text)]


def check(name, num_data, how="auto"):
    """Asserts that all that a segment gives is what one device alone gives."""
    net, data = network(name), splits()
    own = members(net)
    placed = devices.replicated(data, NUM_MEMBERS, num_data)
    found = split_over(net, num_data, how)(*own, *placed)
    alone = jax.jit(segment_of(net.apply))
    num_devices = len(found[0].step.sharding.device_set)
    assert num_devices == min(NUM_MEMBERS * num_data, jax.local_device_count())
    for m in range(NUM_MEMBERS):
        expected = alone(*jax.tree.map(lambda x, m=m: x[m], own), *data)
        for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
            np.testing.assert_allclose(a[m], b, rtol=1e-4, atol=1e-5)


def check_collectives(name, num_data, how="auto"):
    """Asserts that nothing but sums crosses devices in training, and no params at all."""
    net = network(name)
    own = members(net)
    placed = devices.replicated(splits(), NUM_MEMBERS, num_data)
    told = collectives(split_over(net, num_data, how), *own, *placed)
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
    check(sys.argv[1], int(sys.argv[2]))
