"""Overlap of planted masks, and of random ones, whose mean is what chance gives."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth_jax.analysis.overlap import chance, overlap, overlaps


def test_planted_masks_overlap_as_planted():
    first, second = np.zeros((2, 10), bool), np.zeros((2, 10), bool)
    first[0, :6], second[0, 4:8] = True, True  # 6 and 4, of which 2 are shared
    found = overlap(first, second)
    assert found.found == 2 / 8
    assert 0 < found.excess < 0.2
    same = overlaps({"a": first}, {"a": first.copy()})["a"]
    assert (same.found, same.excess) == (1, 1)
    assert overlap(np.zeros(3, bool), np.zeros(3, bool)) == (1, 1)
    with pytest.raises(ValueError, match=r"\(2, 10\) and \(3,\)"):
        overlap(first, np.zeros(3, bool))


@given(st.integers(1, 7), st.data())
def test_chance_is_the_mean_over_all_masks(size, data):
    a, b = (data.draw(st.integers(0, size)) for _ in range(2))
    first = set(range(a))
    each = [
        len(first & {*second}) / len(first | {*second}) if a + b else 1
        for second in itertools.combinations(range(size), b)
    ]
    assert chance(a, b, size) == pytest.approx(np.mean(each), abs=1e-12)
