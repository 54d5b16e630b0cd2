"""Survivors that were chosen by hand, and connections drawn at random."""

import jax
import numpy as np
import pytest

from lth_jax.analysis.survivors import NUM_BINS, NUM_RANKS, connections, inits


def test_inits_are_those_that_are_kept_compiled_and_over_members():
    rng = np.random.default_rng(0)
    init = rng.normal(size=(2, 30, 20)).astype(np.float32)
    kept = np.stack([np.abs(init[0]) > 1, init[1] > 0.5])
    found = jax.jit(jax.vmap(inits, (0, 0, None)))(init, kept, np.float32(4))
    for member in range(2):
        own = init[member][kept[member]]
        expected, _ = np.histogram(own, np.linspace(-4, 4, NUM_BINS + 1), density=True)
        np.testing.assert_allclose(found.density[member], expected, atol=1e-5)
        size = np.abs(own).mean() / np.abs(init[member]).mean()
        assert found.size[member] == pytest.approx(size, rel=1e-5)
        assert found.positive[member] == pytest.approx((own > 0).mean())
    assert found.positive[1] == 1
    none = inits(init[0], np.zeros((30, 20), bool), 4.0)
    assert np.isnan(none.size) and np.isnan(none.density).all()


def test_the_largest_init_is_in_the_last_bin():
    found = inits(np.float32([-2, 2]), np.array([True, True]), 2.0)
    heights = np.zeros(NUM_BINS)
    heights[[0, -1]] = NUM_BINS / 8  # half of the weights each, in bins of 4 / NUM_BINS
    np.testing.assert_allclose(found.density, heights)


def test_connections_at_random_are_as_uneven_as_chance_has_them():
    rng = np.random.default_rng(1)
    flat = np.arange(40 * 25) < 300
    drawn = np.stack([rng.permutation(flat).reshape(40, 25) for _ in range(400)])
    found = jax.jit(jax.vmap(connections))(drawn)
    assert (np.asarray(found.unevenness) ** 2).mean() == pytest.approx(1, abs=0.03)
    expected = np.quantile(drawn.mean(1), np.linspace(0, 1, NUM_RANKS), axis=1)
    np.testing.assert_allclose(found.shares.T, expected, atol=1e-6)


def test_connections_that_are_even_or_of_few_units_are_recognised():
    even = connections(np.eye(6, dtype=bool))
    assert even.unevenness == 0
    one = np.zeros((6, 6), bool)
    one[:, 0] = True
    share = np.array([1, 0, 0, 0, 0, 0])
    chance = 1 / 6 * 5 / 6 / 6 * (30 / 35)  # hypergeometric, of a share of 6
    assert connections(one).unevenness == pytest.approx((share.var() / chance) ** 0.5)
    shares = np.asarray(connections(one).shares)
    assert shares[0] == 0 and shares[-1] == 1
    for whole in (np.ones((6, 6), bool), np.zeros((6, 6), bool), np.eye(6, 1) > 0):
        assert np.isnan(connections(whole).unevenness)
