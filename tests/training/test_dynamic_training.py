"""Masks that change while a net with batch normalisation trains."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.sets import highest, indices
from support.tiers import quick
from support.trees import assert_trees_equal
from support.zoo import NormNet

import lth_jax
from lth_jax import (
    connections,
    dynamics,
    masks,
    optimizers,
    sampling,
    schedules,
    training,
)
from lth_jax.devices import over_members
from lth_jax.training.dynamic_training import Changing

EVERY, END, NUM_STEPS = 5, 22, 30
BATCHES = sampling.batch_indices(
    jax.random.key(5), 0, NUM_STEPS, batch_size=30, num_examples=210
)
SCHEDULE = schedules.make_schedule("cosine", 0.05, num_steps=NUM_STEPS)
OPTIMIZERS = {
    "adam": optimizers.make_optimizer("adam", SCHEDULE),
    "momentum": optimizers.make_optimizer("momentum", SCHEDULE, weight_decay=0.1),
    # Fills the moments of what is pruned too.
    "centralized": optax.chain(
        optax.centralize(), optimizers.make_optimizer("momentum", SCHEDULE)
    ),
}
DYNAMICS = {
    name: dynamics.make_dynamics(
        name,
        update_every_steps=EVERY,
        begin_step=0,
        end_step=END,
        drop_fraction=0.3,
    )
    for name in dynamics.DYNAMICS
}
KEY, MASK_KEY = jax.random.split(jax.random.key(9))


@pytest.fixture(scope="module")
def norm_net():
    return lth_jax.from_linen(NormNet(), jax.ShapeDtypeStruct((1, 12), jnp.float32))


@functools.cache
def compiled(net, optimizer, name):
    tx, own = OPTIMIZERS[optimizer], DYNAMICS[name]
    return jax.jit(lth_jax.make_dynamic_steps(net.apply, tx, own))


def begin(net, optimizer, name, seed=0):
    """State, masks and goal at step 0."""
    params, stats = net.init(jax.random.key(seed))
    state = lth_jax.initial_state(params, OPTIMIZERS[optimizer], stats)
    full = masks.full(params)
    goal = connections.kept_counts(lth_jax.prune(params, full, 0.7))
    if name == "gradual":
        return state, full, goal
    return state, connections.draw(MASK_KEY, params, goal), goal


def counts(kept):
    return [layer.kept for layer in masks.layer_counts(kept).values()]


def assert_projected(state, kept, optimizer):
    assert_trees_equal(training.project(state, kept, OPTIMIZERS[optimizer]), state)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    quick(
        ("gradual", "adam"),
        ("set", "adam"),
        ("rigl", "centralized"),
        of=[
            ("gradual", "adam"),
            ("set", "adam"),
            ("rigl", "adam"),
            ("rigl", "momentum"),
            ("rigl", "centralized"),
        ],
    ),
)
def test_counts_are_exact_and_what_is_pruned_is_zero_after_every_update(
    name, optimizer, norm_net, examples
):
    state, kept, goal = begin(norm_net, optimizer, name)
    steps, sizes = compiled(norm_net, optimizer, name), [12 * 16, 16 * 10]
    goals = [int(goal[layer]["kernel"]) for layer in ("dense_0", "output")]
    changed = 0
    for number, batches in enumerate(BATCHES.reshape(-1, EVERY, 30)):
        before = kept
        (state, kept), losses = steps(state, kept, goal, batches, examples, KEY, MASK_KEY)
        assert np.isfinite(losses).all()
        assert losses.shape == (EVERY,)
        assert int(state.step) == (number + 1) * EVERY  # no step is left out
        assert_projected(state, kept, optimizer)
        share = np.float32(1 - (1 - min(number / (END // EVERY), 1)) ** 3)
        expected = (
            [n - round(share * (n - g)) for n, g in zip(sizes, goals, strict=True)]
            if name == "gradual"
            else goals
        )
        assert counts(kept) == expected
        if name == "gradual":
            assert masks.is_subset(kept, before)
        changed += masks.overlap(kept, before) < 1
        for layer in ("dense_0", "output"):  # what lives learns, except dead units
            live = np.asarray(kept[layer]["kernel"])
            assert (
                np.asarray(state.params[layer]["kernel"])[live].astype(bool).mean() > 0.8
            )
    assert changed == 4  # the last of RigL's rounds to none
    assert counts(kept) == goals
    assert kept["norm"]["scale"].all()
    assert steps._cache_size() == 1


@functools.partial(jax.jit, static_argnums=0)
def dense_gradients(net, state, batch, examples):
    def loss(params):
        logits, _ = net.apply(
            params, state.batch_stats, examples.inputs[batch], True, None
        )
        labels = examples.labels[batch]
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    return jax.grad(loss)(state.params)


def test_rigl_drops_the_smallest_and_grows_where_the_gradient_is_largest(
    norm_net, examples
):
    steps = compiled(norm_net, "adam", "rigl")
    state, kept, goal = begin(norm_net, "adam", "rigl")
    (state, kept), _ = steps(state, kept, goal, BATCHES[:EVERY], examples)
    # A single step from here: an update, and Adam's step by the masked gradient.
    batches = BATCHES[EVERY : EVERY + 1]
    (after, now), _ = steps(state, kept, goal, batches, examples)
    gradients = dense_gradients(norm_net, state, batches[0], examples)
    fraction = np.float32(0.15 * (1 + np.cos(np.pi * EVERY / END)))
    num_grown = 0
    for layer in ("dense_0", "output"):
        old, new = (np.ravel(m[layer]["kernel"]) for m in (kept, now))
        size = np.abs(np.ravel(state.params[layer]["kernel"]))
        active, moved = indices(old), round(fraction * old.sum())
        staying = highest(size, active, len(active) - moved)
        slope = np.abs(np.ravel(gradients[layer]["kernel"]))
        grown = highest(slope, set(range(old.size)) - staying, moved)
        assert indices(new) == staying | grown
        # The moments of what grew are of this one step alone.
        fresh = sorted(indices(new) - active)
        mu = np.ravel(optax.tree.get(after.opt_state, "mu")[layer]["kernel"])
        step_gradient = dense_gradients(
            norm_net,
            training.project(state, now, OPTIMIZERS["adam"]),
            batches[0],
            examples,
        )
        own = np.ravel(step_gradient[layer]["kernel"])
        np.testing.assert_allclose(mu[fresh], 0.1 * own[fresh], rtol=1e-4, atol=1e-7)
        num_grown += len(fresh)
    assert num_grown > 0


def test_what_grows_is_zero_until_a_step_moves_it(norm_net, examples):
    """At rate 0 nothing moves: what grew is 0, what stayed is as it was."""
    tx = optax.sgd(0.0, momentum=0.9)
    steps = jax.jit(lth_jax.make_dynamic_steps(norm_net.apply, tx, DYNAMICS["set"]))
    params, stats = norm_net.init(jax.random.key(0))
    state = lth_jax.initial_state(params, tx, stats).replace(step=jnp.int32(EVERY))
    _, kept, goal = begin(norm_net, "adam", "set")
    (after, now), _ = steps(state, kept, goal, BATCHES[:EVERY], examples, KEY, MASK_KEY)
    assert masks.overlap(now, kept) < 1
    both = masks.intersection(now, kept)
    assert_trees_equal(after.params, masks.apply(both, params))


@pytest.mark.parametrize("name", quick("rigl", of=["set", "rigl"]))
def test_runs_cut_anywhere_equal_whole_ones(name, norm_net, examples):
    steps = compiled(norm_net, "adam", name)
    state, kept, goal = begin(norm_net, "adam", name)
    rest = (examples, KEY, MASK_KEY)
    whole, losses = steps(state, kept, goal, BATCHES[:15], *rest)
    now, parts = Changing(state, kept), []
    for first, stop in ((0, 8), (8, 10), (10, 15)):
        now, part = steps(*now, goal, BATCHES[first:stop], *rest)
        parts.append(part)
    assert_trees_equal(now.masks, whole.masks)
    for a, b in zip(*map(jax.tree.leaves, (now.state, whole.state)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(np.concatenate(parts), losses, rtol=1e-4)


def test_without_a_due_update_it_is_static_training(norm_net, examples):
    never = dynamics.Dynamics(EVERY, (0.0,), lambda amount, moment: moment.masks)
    tx = OPTIMIZERS["adam"]
    state, kept, goal = begin(norm_net, "adam", "rigl")
    steps = jax.jit(lth_jax.make_dynamic_steps(norm_net.apply, tx, never))
    static = jax.jit(lth_jax.make_steps(norm_net.apply, tx))
    (found, same), losses = steps(state, kept, goal, BATCHES, examples)
    expected, expected_losses = static(state, kept, BATCHES, examples)
    assert_trees_equal(same, kept)
    assert_trees_equal(found, expected)
    np.testing.assert_array_equal(losses, expected_losses)


@pytest.mark.parametrize(
    ("name", "how"),
    quick(of=[("gradual", "vmap"), ("set", "vmap"), ("rigl", "map")]),
)
def test_members_over_devices_have_exact_counts(name, how, norm_net, examples):
    segment = lth_jax.make_dynamic_segment(
        norm_net.apply, OPTIMIZERS["adam"], DYNAMICS[name]
    )

    def member(state, kept, goal, batches, key, mask_key, data):
        best = training.Best.before(state)
        return segment(state, best, kept, goal, batches, data, data, data, key, mask_key)

    starts = [begin(norm_net, "adam", name, seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *starts)
    keys = jax.random.split(KEY, 3)
    batches = jnp.stack([BATCHES.reshape(3, 10, 30)] * 3)
    run = over_members(member, 3, num_shared=1, how=how)
    (states, kept), best, curves = run(*stacked, batches, keys, keys, examples)
    assert curves.test["loss"].shape == (3, 3)
    # The best is among those whose masks have the goal's counts.
    steps_then = np.array([10, 20, 30])
    losses = np.where(
        steps_then >= DYNAMICS[name].goal_step, curves.validation["loss"], np.inf
    )
    np.testing.assert_array_equal(best.step, steps_then[losses.argmin(1)])
    np.testing.assert_array_equal(best.loss, losses.min(1))
    steps = compiled(norm_net, "adam", name)
    for m, (state, first, goal) in enumerate(starts):
        own_state, own = jax.tree.map(lambda x, m=m: x[m], (states, kept))
        assert counts(own) == [int(goal[n]["kernel"]) for n in ("dense_0", "output")]
        assert_projected(own_state, own, "adam")
        alone, _ = steps(state, first, goal, BATCHES, examples, keys[m], keys[m])
        assert masks.overlap(alone.masks, own) > 0.9  # rounding may decide a choice


def test_a_random_growth_needs_a_key(norm_net, examples):
    steps = lth_jax.make_dynamic_steps(
        norm_net.apply, OPTIMIZERS["adam"], DYNAMICS["set"]
    )
    with pytest.raises(ValueError, match="mask_key: needed"):
        steps(*begin(norm_net, "adam", "set"), BATCHES, examples)
