"""Overlap of planted masks, and of random masks, whose mean is that by chance."""

import itertools
import math

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth_jax.analysis import overlap
from lth_jax.analysis.overlap import Overlap


def planted():
    """6 and 4 weights of 20, of which 2 are shared."""
    first, second = np.zeros((2, 10), bool), np.zeros((2, 10), bool)
    first[0, :6], second[0, 4:8] = True, True
    return first, second


def test_planted_masks_overlap_as_planted():
    first, second = planted()
    found = overlap.overlaps({"a": first, "b": first}, {"a": second, "b": first})
    assert found["a"].found == 2 / 8
    assert 0 < found["a"].excess < 0.2
    assert (found["b"].found, found["b"].excess) == (1, 1)
    assert found[overlap.NET].found == (2 + 6) / (8 + 6)
    empty = {"a": np.zeros(3, bool)}
    assert overlap.overlaps(empty, empty)["a"] == Overlap(1, 1)
    with pytest.raises(ValueError, match=r"\(2, 10\) and \(3,\)"):
        overlap.counts(first, empty["a"])


def test_counts_are_the_same_compiled_and_over_members():
    first, second = planted()
    members = np.stack([first, second]), np.stack([second, second])
    found = jax.jit(jax.vmap(overlap.counts))(*members)
    np.testing.assert_array_equal(found, [[6, 4], [4, 4], [2, 4], [20, 20]])


@given(st.lists(st.integers(1, 5), min_size=1, max_size=2), st.data())
def test_chance_is_the_mean_over_all_masks(sizes, data):
    layers = [
        (data.draw(st.integers(0, n)), data.draw(st.integers(0, n)), n) for n in sizes
    ]
    drawn = [
        [set(range(a)) & set(second) for second in itertools.combinations(range(n), b)]
        for a, b, n in layers
    ]
    kept = sum(a + b for a, b, _ in layers)
    each = [
        (shared := sum(map(len, sets))) / (kept - shared) if kept else 1
        for sets in itertools.product(*drawn)
    ]
    assert overlap.chance(tuple(layers)) == pytest.approx(np.mean(each), abs=1e-12)


def test_random_masks_of_a_large_layer_share_what_chance_predicts():
    # Of many weights the share varies little: a quarter of either, a seventh of both.
    assert overlap.chance(((2**20, 2**20, 2**22),)) == pytest.approx(1 / 7, rel=1e-6)


def test_among_replicates_the_interval_is_that_of_the_jackknife():
    rng = np.random.default_rng(0)
    masks = {"a": rng.random((5, 40)) < 0.5, "b": rng.random((5, 3, 7)) < 0.3}
    found = overlap.among(masks)
    pairs = [
        overlap.overlaps(*({k: m[i] for k, m in masks.items()} for i in pair))
        for pair in itertools.combinations(range(5), 2)
    ]
    for name in ("a", "b", overlap.NET):
        mean = np.mean([pair[name].found for pair in pairs])
        assert found[name].found.value == pytest.approx(mean)
        assert found[name].found.low < mean < found[name].found.high
        assert found[name].chance == pytest.approx(
            np.mean([p[name].chance for p in pairs])
        )
    two = overlap.among({"a": masks["a"][:2]})
    assert math.isnan(two["a"].found.low)


def test_of_the_same_replicate_each_pair_counts_alone():
    first, second = planted()
    found = overlap.between(
        {"a": np.stack([first] * 2)}, {"a": np.stack([first, second])}
    )
    assert found["a"].found.value == (1 + 2 / 8) / 2
