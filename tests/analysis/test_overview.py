"""The overview of a study, checked against the values its records were made from."""

import math

import numpy as np
import pytest
from support.studies import exact, make_run, noisy

from lth_jax.analysis.overview import overview
from lth_jax.analysis.verdict import judge
from lth_jax.config import VerdictConfig


def found(runs):
    return overview(runs, judge(runs, VerdictConfig()))


def test_means_over_levels_are_of_each_replicate_first():
    rng = np.random.default_rng(0)
    dense, ticket, reinit = (rng.uniform(0.5, 0.9, (n, 4)) for n in (1, 3, 3))
    runs = [make_run("ticket", 0, r, 500, dense[0, r]) for r in range(4)]
    for level in (1, 2, 3):
        for r in range(4):
            runs.append(make_run("ticket", level, r, 500, ticket[level - 1, r]))
            runs.append(make_run("reinit", level, r, 500, reinit[level - 1, r]))
    told = found(runs)
    assert told.dense.value == pytest.approx(dense.mean())
    assert told.at_sparsest.value == pytest.approx((ticket[2] - dense[0]).mean())
    for estimate, other in ((told.over_dense, dense), (told.over_reinit, reinit)):
        by_replicate = (ticket - other).mean(0)
        assert estimate.value == pytest.approx(by_replicate.mean())
        half = 3.1824463 * by_replicate.std(ddof=1) / 2  # t of 3 degrees of freedom
        assert estimate.low == pytest.approx(by_replicate.mean() - half, abs=0.01)


def test_where_it_matches_is_between_what_is_shown_and_what_is_not_excluded():
    truth = {("ticket", level): (0.8, 500) for level in range(5)}
    truth |= {("ticket", 1): (0.9, 500), ("ticket", 2): (0.9, 500)}
    truth["ticket", 4] = 0.3, 500
    runs = noisy(truth, 10, 0.004, 0.1, np.random.default_rng(1))
    value, low, high = found(runs).matching
    assert (value, high) == (0.25, 0.25)
    assert low in (0.25, 0.125)  # 4 is excluded; 3, at dense's own, is open at most
    worse = {("ticket", 0): (0.9, 500), ("ticket", 1): (0.5, 500)}
    runs = noisy(worse, 10, 0.004, 0.1, np.random.default_rng(1))
    value, low, high = found(runs).matching
    assert math.isnan(value)
    assert (low, high) == (1, 1)


def test_what_is_not_there_is_none():
    runs = exact({("ticket", 0): (0.9, 500)}, 2)
    told = found(runs)
    assert told[1:5] == (None, None, None, None)
