"""Movement of weights that were moved by hand."""

import jax
import numpy as np
import pytest

from lth_jax.analysis.movement import movements, totals
from lth_jax.analysis.overlap import NET

START = np.float32([1, -2, 3, 0, 5])
END = np.float32([2, 2, 1, 1, 5])  # two away from 0, one across it, one towards it
CHOSEN = np.array([True, True, True, False, True])


def test_totals_are_those_of_the_chosen_weights_compiled_and_over_members():
    members = [np.stack([x, x]) for x in (START, END, CHOSEN)]
    found = jax.jit(jax.vmap(totals))(*members)
    np.testing.assert_array_equal(found, [[7, 7], [-1, -1], [1, 1], [4, 4]])


def test_the_net_weighs_its_layers_by_their_weights():
    start = {"a": np.stack([START] * 2), "b": np.zeros((2, 1, 4), np.float32)}
    end = {"a": np.stack([END, START]), "b": np.ones((2, 1, 4), np.float32)}
    chosen = {"a": np.stack([CHOSEN] * 2), "b": np.full((2, 1, 4), True)}
    found = movements(start, end, chosen)
    assert found["a"].distance.value == pytest.approx((7 / 4 + 0) / 2)
    assert found["b"].growth.value == 1
    assert found[NET].distance.value == pytest.approx(((7 + 4) / 8 + 4 / 8) / 2)
    assert found[NET].flips.value == pytest.approx((1 / 8 + 0) / 2)
    chosen["b"][1] = False  # of one replicate nothing is chosen there
    assert movements(start, end, chosen).keys() == {NET, "a"}
