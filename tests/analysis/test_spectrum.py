"""Eigenvalues of quadratics, and of a small net's whole Hessian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import lth_jax
from lth_jax.analysis.spectrum import hessian_product, probe, ritz, spectral_density
from lth_jax.training.losses import MEAN_SQUARED_ERROR


def found(diagonal, steps=6):
    product = jnp.asarray(diagonal, jnp.float32)
    start = jnp.arange(1.0, 1 + len(diagonal))
    return jax.jit(lambda v: ritz(lambda x: product * x, v, steps))(start)


def test_a_quadratic_has_the_eigenvalues_that_it_has():
    values = found([5, 3, 1, -2, 7])
    np.testing.assert_allclose(values.values, [-2, 1, 3, 5, 7], atol=1e-5)
    assert values.weights.sum() == pytest.approx(1, abs=1e-6)
    share = 25 / 55  # of the start, of its last entry
    assert values.weights[-1] == pytest.approx(share, abs=1e-5)


@pytest.mark.parametrize("diagonal", [[5.0] * 8, [0.0] * 8])
def test_it_stops_where_nothing_is_left_to_see(diagonal):
    values = found(diagonal)
    expected = [diagonal[0], *[np.nan] * 5]
    np.testing.assert_allclose(values.values, expected, rtol=1e-6)
    np.testing.assert_allclose(values.weights, [1, 0, 0, 0, 0, 0])


@pytest.mark.slow
def test_errors_bound_how_far_off_eigenvalues_are():
    true = np.arange(30.0)
    values = found(true, steps=12)
    off = np.abs(np.asarray(values.values)[:, None] - true).min(1)
    assert (off <= np.asarray(values.errors) + 1e-4).all()
    assert values.errors[0] < values.errors[6]  # the outermost converge first


def test_a_linear_net_has_the_hessian_of_its_inputs():
    """Least squares: 2 X^T X / n, whatever the weights."""
    inputs = np.random.default_rng(0).normal(size=(70, 5)).astype(np.float32)
    examples = lth_jax.Examples(inputs, inputs[:, :1])
    params, masks = (
        {"w": jnp.ones((5, 1))},
        {"w": jnp.array([[1], [1], [0], [1], [0]]) > 0},
    )

    def apply(params, stats, inputs, train, key):
        return inputs @ params["w"], stats

    product = hessian_product(
        apply, params, {}, masks, examples, MEAN_SQUARED_ERROR, chunk_size=20
    )
    kept = inputs[:, [0, 1, 3]].astype(float)
    expected = np.linalg.eigvalsh(2 * kept.T @ kept / 70)
    start = probe(jax.random.key(0), masks)
    assert not np.asarray(start["w"])[[2, 4]].any()
    np.testing.assert_allclose(ritz(product, start, 3).values, expected, rtol=1e-5)


@pytest.mark.slow
def test_of_a_net_the_top_values_are_those_of_its_whole_hessian(
    network, half_masks, examples
):
    members = [network.init(jax.random.key(seed))[0] for seed in range(2)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *members)

    def top(params, key):
        product = hessian_product(network.apply, params, {}, half_masks, examples)
        return ritz(product, probe(key, half_masks), 60)

    keys = jax.random.split(jax.random.key(5), 2)
    lanczos = jax.jit(jax.vmap(top))(stacked, keys)
    kept = np.concatenate([np.ravel(x) for x in jax.tree.leaves(half_masks)])
    for m, params in enumerate(members):
        flat, unravel = ravel_pytree(params)

        def loss(flat, unravel=unravel):
            logits, _ = network.apply(unravel(flat), {}, examples.inputs, False, None)
            return lth_jax.training.losses.cross_entropy(logits, examples.labels).mean()

        whole = np.asarray(jax.hessian(loss)(flat), float)[kept][:, kept]
        true = np.linalg.eigvalsh(whole)
        scale = true[-1]
        np.testing.assert_allclose(
            lanczos.values[m, -3:] / scale, true[-3:] / scale, atol=1e-6
        )
        assert lanczos.errors[m, -3:].max() < 1e-6 * scale
        assert (lanczos.values[m] * lanczos.weights[m]).sum() == pytest.approx(
            quadratic_form(whole, keys[m], half_masks, kept), rel=1e-4
        )


def quadratic_form(whole, key, masks, kept):
    """Of the probe's own direction, which weights and values give too."""
    start = np.asarray(ravel_pytree(probe(key, masks))[0], float)[kept]
    return start @ whole @ start / (start @ start)


@pytest.mark.slow
def test_the_density_is_that_of_known_eigenvalues():
    grid = jnp.linspace(-5, 15, 2001)
    one = found([1, 1, 1, 9, 9])
    probes = jax.tree.map(lambda x: jnp.stack([x, x]), one)
    density = np.asarray(spectral_density(probes, grid, 0.1))
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-4)
    above = np.asarray(grid) > 5
    assert np.trapezoid(density[above], grid[above]) == pytest.approx(41 / 55, abs=1e-3)
    assert grid[np.argmax(density)] == pytest.approx(9, abs=0.02)
