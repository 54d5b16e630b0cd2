"""The contract, for nets with batch normalisation, dropout and augmentation.

A lineage is a dense net and three levels, each pruned by magnitude from the one before
and rewound to step k: at 0 with Adam, later with momentum and weight decay.
"""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.tiers import quick
from support.trees import assert_trees_equal
from support.zoo import he_normal

import lth_jax
from lth_jax import masks, models, optimizers, pruning, sampling, schedules, training
from lth_jax.data.augment import flip_and_crop
from lth_jax.devices import over_members
from lth_jax.training import rewinding

NUM_STEPS, CALL_STEPS, BATCH_SIZE, NUM_LEVELS, FRACTION = 20, 5, 8, 3, 0.3
WEIGHT_DECAY = 0.1
# Excluded from global pruning, as the paper does.
EXCLUDED = {"resnet": ("output", "shortcut"), "convnet": ("output",)}
MODULES = {
    "resnet": models.ResNet(num_classes=4, channels=(4, 6), num_blocks=1),
    "convnet": models.ConvNet(
        num_classes=4, stages=((4, 3),), hidden_sizes=(7,), dropout_rate=0.5
    ),
}
SCHEDULE = schedules.make_schedule(
    "cosine", 0.02, num_steps=NUM_STEPS, warmup_steps=2 * CALL_STEPS
)
OPTIMIZERS = {
    "adam": optimizers.make_optimizer("adam", SCHEDULE),
    "momentum": optimizers.make_optimizer(
        "momentum", SCHEDULE, weight_decay=WEIGHT_DECAY
    ),
}
REWIND_STEP = {"adam": 0, "momentum": CALL_STEPS}


def make_examples():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    labels = rng.integers(0, 4, 40, dtype=np.int32)
    return lth_jax.Examples(jnp.asarray(images), jnp.asarray(labels))


EXAMPLES = make_examples()


class Setup(NamedTuple):
    """A net and an optimizer, compiled once."""

    network: models.Network
    tx: optax.GradientTransformation
    one_call: training.Steps
    steps: training.Steps
    rewind: Callable[..., training.TrainState]
    traced: list[int]  # numbers of steps that `steps` was compiled for

    def initial(self, seed):
        params, batch_stats = he_normal(self.network, seed)
        return lth_jax.initial_state(params, self.tx, batch_stats)

    def train(self, state, kept, until, seed=0):
        """From where the state is, by calls of CALL_STEPS."""
        for first in range(int(state.step), until, CALL_STEPS):
            state, losses = self.steps(state, kept, *batches(seed, first, CALL_STEPS))
            assert np.isfinite(losses).all()
        return state


def batches(seed, first, number):
    """The rest of the arguments of `steps`: indices, examples, key."""
    order_key, key = jax.random.split(jax.random.key(seed))
    indices = sampling.batch_indices(
        order_key, first, number, batch_size=BATCH_SIZE, num_examples=40
    )
    return indices, EXAMPLES, key


@functools.cache
def setup(net, optimizer):
    network = lth_jax.from_linen(
        MODULES[net],
        EXAMPLES.inputs[:1],
        lambda images: images.astype(jnp.float32) / 128 - 1,
        flip_and_crop,
    )
    tx = OPTIMIZERS[optimizer]
    one_call = training.make_steps(network.apply, tx)
    traced = []

    def steps(state, kept, indices, examples, key):
        traced.append(len(indices))
        return one_call(state, kept, indices, examples, key)

    rewind = jax.jit(lambda point, kept: lth_jax.rewind(point, kept, tx))
    return Setup(network, tx, one_call, jax.jit(steps), rewind, traced)


class Level(NamedTuple):
    """A level of a lineage."""

    kept: masks.Masks
    start: training.TrainState
    trained: training.TrainState


class Lineage(NamedTuple):
    """The dense net is level 0."""

    net: str
    optimizer: str
    scope: str
    initial: training.TrainState
    point: training.TrainState
    levels: list[Level]

    @property
    def setup(self):
        return setup(self.net, self.optimizer)

    @property
    def prunable(self):
        return prunable(self.net, self.scope)


def prunable(net, scope):
    return masks.excluding(EXCLUDED[net] if scope == "global" else ())


@functools.cache
def make_lineage(net, optimizer, scope):
    own = setup(net, optimizer)
    initial = own.initial(0)
    kept = masks.full(initial.params)
    point = own.train(initial, kept, REWIND_STEP[optimizer])
    levels = [Level(kept, point, own.train(point, kept, NUM_STEPS))]
    for _ in range(NUM_LEVELS):
        kept = pruning.prune(
            jax.tree.map(np.abs, jax.device_get(levels[-1].trained.params)),
            kept,
            FRACTION,
            scope=scope,
            prunable=prunable(net, scope),
        )
        start = own.rewind(point, kept)
        levels.append(Level(kept, start, own.train(start, kept, NUM_STEPS)))
    return Lineage(net, optimizer, scope, *jax.device_get((initial, point, levels)))


@pytest.fixture(
    params=quick(
        "resnet-momentum-global",
        "convnet-momentum-layerwise",
        "convnet-adam-layerwise",
        of=map("-".join, itertools.product(MODULES, OPTIMIZERS, ("layerwise", "global"))),
    ),
)
def lineage(request):
    return make_lineage(*request.param.split("-"))


def test_pruned_params_and_their_moments_are_exactly_zero(lineage):
    def assert_zero(mask, leaf):
        assert not np.asarray(leaf)[~np.asarray(mask)].any()

    for level in lineage.levels[1:]:
        jax.tree.map(assert_zero, level.kept, level.trained.params)
        optax.tree.map_params(
            lineage.setup.tx,
            lambda leaf, mask: assert_zero(mask, leaf),
            level.trained.opt_state,
            level.kept,
        )
        # The others move, moments included.
        moved = jax.tree.map(
            lambda m, a, b: bool((a != b)[m].any() or not m.any()),
            level.kept,
            level.trained.params,
            level.start.params,
        )
        assert all(jax.tree.leaves(moved))


def test_counts_are_exact_and_what_is_excluded_counts_in_the_density(lineage):
    sizes = masks.layer_counts(lineage.levels[0].kept)
    prunable = {
        path: count.total
        for path, count in sizes.items()
        if lineage.scope == "layerwise"
        or not set(path.split("/")) & set(EXCLUDED[lineage.net])
    }
    assert (lineage.scope == "global") == (prunable.keys() < sizes.keys())
    excluded = sum(c.total for path, c in sizes.items() if path not in prunable)
    groups = [[p] for p in prunable] if lineage.scope == "layerwise" else [prunable]
    left = [sum(prunable[path] for path in group) for group in groups]
    for level in lineage.levels:
        counts = masks.layer_counts(level.kept)
        assert [sum(counts[p].kept for p in group) for group in groups] == left
        assert all(
            counts[path].kept == sizes[path].total
            for path in sizes
            if path not in prunable
        )
        total = sum(prunable.values()) + excluded
        assert masks.density(level.kept) == (sum(left) + excluded) / total
        assert masks.density(level.kept, lineage.prunable) == sum(left) / sum(
            prunable.values()
        )
        left = [n - round(FRACTION * n) for n in left]


def test_what_goes_is_the_smallest_of_what_was_left(lineage):
    for before, after in itertools.pairwise(lineage.levels):
        gone, stays = {}, {}
        values = dict(masks.named_leaves(before.trained.params))
        old = dict(masks.named_leaves(before.kept))
        for path, kept in masks.prunable_leaves(after.kept, lineage.prunable):
            group = path if lineage.scope == "layerwise" else "all"
            size, kept = np.abs(values[path]), np.asarray(kept)
            gone.setdefault(group, []).extend(size[np.asarray(old[path]) & ~kept])
            stays.setdefault(group, []).extend(size[kept])
        for group in gone:
            assert gone[group]
            assert max(gone[group]) <= min(stays[group])


def test_masks_are_nested_and_keep_all_but_kernels(lineage):
    for before, after in itertools.pairwise(lineage.levels):
        assert masks.is_subset(after.kept, before.kept)
        assert not masks.is_subset(before.kept, after.kept)
    others = [
        (path, mask)
        for path, mask in masks.named_leaves(lineage.levels[-1].kept)
        if not path.endswith("/kernel")
    ]
    assert all(mask.all() for _, mask in others)
    scales = [path for path, _ in others if path.endswith("/scale")]
    assert bool(scales) == (lineage.net == "resnet")


def test_a_level_starts_from_the_masked_rewind_point(lineage):
    step = REWIND_STEP[lineage.optimizer]
    if step == 0:
        assert_trees_equal(lineage.point, lineage.initial)
    for level in lineage.levels[1:]:
        assert int(level.start.step) == step
        assert int(level.trained.step) == NUM_STEPS
        assert_trees_equal(
            level.start.params,
            jax.tree.map(
                lambda m, p: np.where(m, p, np.zeros_like(p)),
                level.kept,
                lineage.point.params,
            ),
        )


def test_a_level_starts_at_the_rate_of_its_step(lineage):
    update, params = jax.jit(lineage.setup.tx.update), lineage.initial.params
    zeros, ones = (jax.tree.map(like, params) for like in (np.zeros_like, np.ones_like))
    # A fresh optimizer's first update is its rate, for gradients of 1.
    rate = float(SCHEDULE(REWIND_STEP[lineage.optimizer]))
    for level in lineage.levels[1:]:
        updates, _ = update(ones, level.start.opt_state, zeros)
        for leaf in jax.tree.leaves(updates):
            np.testing.assert_allclose(leaf, -rate, rtol=1e-5)


def test_statistics_go_back_to_the_rewind_points(lineage):
    for level in lineage.levels[1:]:
        assert_trees_equal(level.start.batch_stats, lineage.point.batch_stats)
        trained, start = level.trained.batch_stats, level.start.batch_stats
        moved = jax.tree.map(lambda a, b: (a != b).any(), trained, start)
        assert all(jax.tree.leaves(moved))
    assert bool(jax.tree.leaves(lineage.point.batch_stats)) == (lineage.net == "resnet")
    to_init = lth_jax.rewind(
        lineage.point,
        level.kept,
        lineage.setup.tx,
        what=rewinding.Rewind(batch_stats="init"),
        initial=lineage.initial,
    )
    assert_trees_equal(to_init.batch_stats, lineage.initial.batch_stats)


@pytest.mark.parametrize("net", MODULES)
def test_weight_decay_reaches_what_is_kept_alone(net):
    # With gradients of 0 a kept param of 1 shrinks by the rate times the decay.
    lineage = make_lineage(net, "momentum", "global")
    level = lineage.levels[-1]
    params = jax.tree.map(lambda m: m.astype(np.float32), level.kept)
    zeros = jax.tree.map(np.zeros_like, params)
    update = jax.jit(lineage.setup.tx.update)
    updates, _ = update(zeros, level.start.opt_state, params)
    rate = float(SCHEDULE(REWIND_STEP["momentum"]))
    for update, mask in zip(*map(jax.tree.leaves, (updates, level.kept)), strict=True):
        expected = np.where(mask, -rate * WEIGHT_DECAY, 0)
        np.testing.assert_allclose(update, expected, rtol=1e-5)


@pytest.mark.parametrize("optimizer", quick("momentum", of=OPTIMIZERS))
@pytest.mark.parametrize("net", MODULES)
def test_one_compilation_serves_every_level_and_scope(net, optimizer):
    for scope in ("layerwise", "global"):
        make_lineage(net, optimizer, scope)
    assert setup(net, optimizer).traced.count(CALL_STEPS) == 1


@pytest.mark.parametrize("net", quick("convnet", of=MODULES))
def test_randomness_is_of_the_key_and_the_step(net):
    own = setup(net, "adam")
    lineage = make_lineage(net, "adam", "layerwise")
    level = lineage.levels[1]  # trained by four calls
    whole, _ = own.steps(level.start, level.kept, *batches(0, 0, NUM_STEPS))
    assert_trees_equal(whole, level.trained)
    indices, examples, key = batches(0, 0, CALL_STEPS)
    same, _ = own.steps(level.start, level.kept, indices, examples, key)
    other_key = jax.random.fold_in(key, 1)
    other, _ = own.steps(level.start, level.kept, indices, examples, other_key)
    later, _ = own.steps(
        level.start.replace(step=jnp.int32(5)), level.kept, indices, examples, key
    )
    for state in (other, later):
        assert (state.params["output"]["kernel"] != same.params["output"]["kernel"]).any()


def members(net, number):
    """Members with weights, masks and batches of their own, and their keys."""
    own = setup(net, "momentum")
    rows, keys = [], jax.random.split(jax.random.key(7), number)
    for m in range(number):
        initial = own.initial(m)
        sizes = jax.tree.map(np.abs, jax.device_get(initial.params))
        kept = pruning.prune(sizes, masks.full(sizes), 0.2 + m / 10)
        indices, _, _ = batches(m, 0, CALL_STEPS)
        rows.append(jax.device_get((own.rewind(initial, kept), kept, indices)))
    return rows, jax.tree.map(lambda *x: np.stack(x), *rows), keys


def steps_of_member(net):
    """`steps` with the examples last, as `over_members` shares them."""
    one_call = setup(net, "momentum").one_call

    def steps(member, key, examples):
        return one_call(*member, examples, key)

    return steps


def assert_as_alone(net, rows, keys, states, losses):
    own = setup(net, "momentum")
    for m, ((state, kept, indices), key) in enumerate(zip(rows, keys, strict=True)):
        alone, alone_losses = own.steps(state, kept, indices, EXAMPLES, key)
        np.testing.assert_allclose(losses[m], alone_losses, rtol=1e-3)
        for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(states), strict=True):
            np.testing.assert_allclose(b[m], a, rtol=1e-3, atol=1e-4)
        for mask, leaf in zip(*map(jax.tree.leaves, (kept, states.params)), strict=True):
            assert not leaf[m][~mask].any()


@pytest.mark.parametrize("net", quick("convnet", of=MODULES))
def test_members_under_vmap_are_what_they_are_alone(net):
    rows, stacked, keys = members(net, 2)
    steps = jax.jit(jax.vmap(steps_of_member(net), in_axes=(0, 0, None)))
    assert_as_alone(net, rows, keys, *jax.device_get(steps(stacked, keys, EXAMPLES)))


def test_members_over_devices_are_what_they_are_alone():
    assert jax.local_device_count() == 4
    rows, stacked, keys = members("resnet", 4)
    steps = over_members(steps_of_member("resnet"), 4, num_shared=1)
    states, losses = steps(stacked, keys, EXAMPLES)
    assert len(losses.sharding.device_set) == 4
    assert_as_alone("resnet", rows, keys, *jax.device_get((states, losses)))
