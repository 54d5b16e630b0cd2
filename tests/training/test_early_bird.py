"""Early-Bird against a loop in NumPy (You et al. 2020, section 3)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lth_jax.masks import default_prunable, full
from lth_jax.pruning.weights import prune
from lth_jax.training.early_bird import MOST_DISTANCE, NUM_DRAWN, EarlyBird, draw
from lth_jax.training.state import TrainState

SHAPES = {"a": {"kernel": (7, 9), "bias": (9,)}, "b": {"kernel": (9, 4)}}


def weights(seed):
    rng = np.random.default_rng(seed)
    draw_leaf = functools.partial(rng.normal, 0, 1)
    return jax.tree.map(
        lambda shape: np.float32(draw_leaf(size=shape)),
        SHAPES,
        is_leaf=lambda x: isinstance(x, tuple),
    )


def some_masks(seed):
    """Masks that keep about 70% of the kernels, and all biases."""
    rng = np.random.default_rng(seed)
    return {
        name: {
            leaf: rng.random(shape) < 0.7 if leaf == "kernel" else np.ones(shape, bool)
            for leaf, shape in leaves.items()
        }
        for name, leaves in SHAPES.items()
    }


@pytest.mark.parametrize("scope", ["layerwise", "global"])
@given(seed=st.integers(0, 999), fraction=st.sampled_from([0.1, 0.2, 0.5, 0.8]))
@settings(max_examples=20, deadline=None)
def test_it_draws_the_masks_that_pruning_leaves(scope, seed, fraction):
    params, kept = weights(seed), some_masks(seed + 1)
    drawn = jax.jit(draw, static_argnums=(2, 3, 4))(
        params, kept, fraction, scope, default_prunable
    )
    pruned = prune(jax.tree.map(np.abs, params), kept, fraction, scope=scope)
    for ours, theirs in ((drawn[0], kept), (drawn[1], pruned)):
        for leaf, name in zip(ours, ("a", "b"), strict=True):
            np.testing.assert_array_equal(leaf, theirs[name]["kernel"])


def numpy_rule(drawn, total):
    """The first draw whose distance from each of the four before is below 0.1."""
    for at in range(4, len(drawn)):
        distance = max(np.sum(drawn[at] != drawn[at - i]) / total for i in range(1, 5))
        if distance < 0.1:
            return at, distance
    return len(drawn) - 1, distance


@given(seed=st.integers(0, 999), number=st.integers(5, 12))
@settings(max_examples=20, deadline=None)
def test_it_stays_at_the_first_net_whose_masks_rest(seed, number):
    rng = np.random.default_rng(seed)
    kept = rng.random((2, 40)) < 0.9  # two members
    masks = [kept & (rng.random((2, 40)) < 0.8)]
    for _ in range(number - 1):  # masks that change ever less
        flips = rng.random((2, 40)) < 0.3 * rng.random((2, 1)) / (1 + len(masks))
        masks.append(np.where(flips, ~masks[-1], masks[-1]) & kept)

    def state(at):
        return TrainState(jnp.full(2, at), {"w": jnp.full((2, 3), 10.0 + at)}, {}, ())

    now = jax.vmap(EarlyBird.before)(state(-1), [kept])
    step = jax.jit(jax.vmap(EarlyBird.after))
    for at, mask in enumerate(masks):
        now = step(now, state(at), [kept], [mask])
    for member in range(2):
        total = kept[member].sum()
        at, distance = numpy_rule([mask[member] for mask in masks], total)
        assert now.step[member] == at
        np.testing.assert_allclose(now.distance[member], distance, rtol=1e-6)
        np.testing.assert_array_equal(now.state.params["w"][member], 10.0 + at)


def test_before_five_draws_no_net_is_found():
    kept = full(weights(0))
    leaves = [kept["a"]["kernel"], kept["b"]["kernel"]]
    state = TrainState(jnp.int32(0), weights(0), {}, ())
    now = EarlyBird.before(state, leaves)
    for at in range(NUM_DRAWN - 1):
        later = TrainState(jnp.int32(at), weights(at), {}, ())
        now = now.after(later, leaves, leaves)  # the same masks each time
        assert now.step == at and np.isinf(now.distance)
    now = now.after(state, leaves, leaves)
    assert now.distance == 0 < MOST_DISTANCE
