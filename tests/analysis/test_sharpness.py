"""Sharpness of quadratics, in the direction that masks prune."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lth_jax.analysis.sharpness import pruned_at_random, sharpness

SCALE = np.float32([[1, 2], [3, 4]])
PARAMS = np.float32([[[1, -1], [2, 0.5]], [[0, 3], [1, 1]]])  # of two members
MASKS = np.array([[[True, False], [False, True]], [[True, True], [True, False]]])


def measured(params, masks):
    """Of half the sum of scaled squares, whose Hessian is the scale."""

    def loss(net):
        return (SCALE * net["kernel"] ** 2).sum() / 2

    def product(direction):
        return {"kernel": SCALE * direction["kernel"]}

    return sharpness(product, loss, {"kernel": params}, {"kernel": masks})


def test_of_a_quadratic_it_is_that_of_the_pruned_weights_compiled_and_over_members():
    found = jax.jit(jax.vmap(measured))(PARAMS, MASKS)
    np.testing.assert_allclose(found.curvature, [(2 * 1 + 3 * 4) / 5, 4], rtol=1e-6)
    np.testing.assert_allclose(found.rise, [-(2 * 1 + 3 * 4) / 2, -2], rtol=1e-6)


def test_where_nothing_is_pruned_there_is_no_direction():
    found = measured(PARAMS[0], np.full((2, 2), True))
    assert np.isnan(found.curvature) and found.rise == 0


def test_at_random_as_many_of_what_is_kept_are_pruned():
    rng = np.random.default_rng(0)
    kept = {
        "a": {"kernel": rng.random((2, 30, 20)) < 0.5, "bias": np.full((2, 20), True)}
    }
    masks = jax.tree.map(np.copy, kept)
    masks["a"]["kernel"] &= rng.random((2, 30, 20)) < 0.7
    draw = jax.jit(jax.vmap(pruned_at_random))
    drawn = draw(jax.random.split(jax.random.key(0), 2), kept, masks)
    own, found = (np.asarray(x["a"]["kernel"]) for x in (masks, drawn))
    assert not (found & ~kept["a"]["kernel"]).any()
    np.testing.assert_array_equal(found.sum((1, 2)), own.sum((1, 2)))
    assert np.asarray(drawn["a"]["bias"]).all()
    agree = (found & own).sum() / own.sum()
    assert agree == pytest.approx(own.sum() / kept["a"]["kernel"].sum(), abs=0.1)


def test_along_an_eigenvector_the_curvature_is_its_eigenvalue():
    for at, value in enumerate(SCALE.ravel()):
        masks = (np.arange(4) != at).reshape(2, 2)
        found = measured(jnp.ones((2, 2)), masks)
        assert found.curvature == pytest.approx(value)
