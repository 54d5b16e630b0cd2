"""Costs of levels, counted by hand."""

import jax
import numpy as np

from lth_jax.analysis.cost import spending

MULTIPLY_ADDS = np.float32([100, 50, 25])
STEPS = np.float32([10, 8, 8])  # rewound to step 2


def found(is_one_shot, used):
    """Compiled, over two members, in batches of 5: 30 FLOPs a multiply-add."""
    many = jax.jit(jax.vmap(lambda *x: spending(*x, 5, is_one_shot)))
    members = [np.stack([x, x]) for x in (MULTIPLY_ADDS, STEPS, np.float32(used))]
    result = many(*members)
    np.testing.assert_array_equal(result.use[0], result.use[1])
    return jax.tree.map(lambda x: np.asarray(x[1]) / 30, result)


def test_a_level_costs_all_levels_before_it():
    result = found(False, STEPS)
    np.testing.assert_allclose(result.find, [0, 1000, 1400])
    np.testing.assert_allclose(result.use, [1000, 400, 200])
    np.testing.assert_allclose(result.saved, [0, 600, 800])
    np.testing.assert_allclose(30 * result.pays_after, [np.nan, 1000 / 600, 1400 / 800])


def test_in_one_shot_it_costs_the_dense_net_alone():
    np.testing.assert_allclose(found(True, STEPS).find, [0, 1000, 1000])


def test_a_ticket_that_trains_longer_than_it_saves_never_pays():
    result = found(False, [5, 10, 30])
    np.testing.assert_allclose(result.saved, [0, 0, -250])
    assert np.isnan(result.pays_after[1:]).all()
