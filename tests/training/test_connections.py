from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.sets import highest, indices

from lth_jax import connections, masks
from lth_jax.devices import over_members

SHAPES = {"a": {"kernel": (9, 7), "bias": (7,)}, "b": {"kernel": (2, 3, 4)}}


def tree_of(make):
    leaves, structure = jax.tree.flatten(SHAPES, is_leaf=lambda x: isinstance(x, tuple))
    return jax.tree.unflatten(structure, [make(shape) for shape in leaves])


def scores(rng):
    """Few distinct values, and so many ties."""
    return tree_of(lambda shape: rng.integers(0, 4, shape).astype(np.float32))


def some_masks(rng):
    drawn = tree_of(lambda shape: rng.random(shape) < 0.5)
    drawn["a"]["bias"][:] = True
    return drawn


def kernels(tree):
    return {"a": np.ravel(tree["a"]["kernel"]), "b": np.ravel(tree["b"]["kernel"])}


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_reconnecting_agrees_with_plain_sets(seed, fraction):
    rng = np.random.default_rng(seed)
    score, growth, kept = scores(rng), scores(rng), some_masks(rng)
    found = jax.jit(connections.reconnect)(score, growth, kept, fraction)
    assert found["a"]["bias"].all()
    for name, mask in kernels(kept).items():
        active = indices(mask)
        moved = round(np.float32(fraction) * len(active))
        staying = highest(kernels(score)[name], active, len(active) - moved)
        # What was dropped is a candidate too.
        grown = highest(kernels(growth)[name], set(range(mask.size)) - staying, moved)
        assert indices(kernels(found)[name]) == staying | grown
        assert len(staying | grown) == len(active)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.875, 1.0])
def test_shrinking_prunes_the_lowest_to_the_goals_share(share):
    rng = np.random.default_rng(0)
    score, full = scores(rng), tree_of(lambda shape: np.ones(shape, bool))
    goal = tree_of(lambda shape: np.int32(np.prod(shape) // 5))
    found = jax.jit(connections.shrink)(score, full, goal, share)
    assert found["a"]["bias"].all()
    for name, mask in kernels(found).items():
        count = mask.size - round(np.float32(share) * (mask.size - mask.size // 5))
        assert indices(mask) == highest(kernels(score)[name], range(mask.size), count)
    again = connections.shrink(score, found, goal, 0.0)
    assert masks.is_subset(again, found)
    assert masks.is_subset(found, again)


def test_masks_are_drawn_with_exact_counts_each_place_equally_often():
    params = tree_of(np.zeros)
    goal = tree_of(lambda shape: np.int32(np.prod(shape) // 4))
    draw = jax.jit(jax.vmap(lambda key: connections.draw(key, params, goal)))
    found = jax.device_get(draw(jax.random.split(jax.random.key(0), 2000)))
    assert found["a"]["bias"].all()
    for layer in "ab":
        kept = found[layer]["kernel"].reshape(2000, -1)
        assert (kept.sum(1) == kept.shape[1] // 4).all()
        expected = (kept.shape[1] // 4) / kept.shape[1]
        np.testing.assert_allclose(kept.mean(0), expected, atol=0.05)


@pytest.mark.parametrize("how", ["map", "vmap"])
def test_members_over_devices_agree_with_each_alone(how):
    """Three members, each with a fraction of its own, on the devices that are forced."""
    rng = np.random.default_rng(1)
    members = [(scores(rng), scores(rng), some_masks(rng)) for _ in range(3)]
    fractions = jnp.array([0.2, 0.5, 0.9])
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *members)
    together = over_members(connections.reconnect, 3, how=how)(*stacked, fractions)
    for m, member in enumerate(members):
        alone = connections.reconnect(*member, fractions[m])
        jax.tree.map(
            lambda a, b, m=m: np.testing.assert_array_equal(a[m], b), together, alone
        )


@given(
    fraction=st.floats(0, 1, width=32),
    number=st.integers(0, 2**31 - 1) | st.integers(2**24 - 3, 2**24 + 3),
)
@example(fraction=1.0, number=25_000_001)
@example(fraction=0.5, number=2**24 + 3)
def test_shares_of_large_leaves_are_exact(fraction, number):
    found = int(jax.jit(connections._part)(np.float32(fraction), np.int32(number)))
    if number <= 2**24:
        expected = int(np.round(np.float32(fraction) * np.float32(number)))
    else:
        units = int(Fraction(fraction) * 2**31)
        expected = round(Fraction(units, 2**31) * number)
    assert found == expected
