import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lth_jax.analysis.intervals import mean
from lth_jax.analysis.learning import learning_curves, spread
from lth_jax.analysis.metric import ACCURACY, LOSS
from lth_jax.store.records import Curve, Run

METRICS = (("validation", LOSS), ("test", ACCURACY))


def make_runs(num_points=10, num_replicates=4):
    rng = np.random.default_rng(0)
    steps = np.arange(1, num_points + 1) * 50
    keys = [("reinit", 1), ("continue", 1), ("ticket", 1), ("ticket", 0), ("ticket", 2)]
    return [
        Run(
            arm,
            replicate,
            level,
            0.5**level + 0.01 * replicate,
            {
                (split, metric.name): Curve(steps, rng.random(num_points))
                for split, metric in METRICS
            },
        )
        for replicate, (arm, level) in itertools.product(range(num_replicates), keys)
    ]


@pytest.mark.parametrize("metric", METRICS)
def test_curves_are_means_over_the_replicates_with_their_intervals(metric):
    runs = make_runs()
    found = learning_curves(runs, [0, 1], *metric)
    assert [(curve.level, curve.arm) for curve in found] == [
        (0, "ticket"),
        (1, "ticket"),
        (1, "continue"),
        (1, "reinit"),
    ]
    for curve in found:
        mine = [r for r in runs if (r.arm, r.level) == (curve.arm, curve.level)]
        of = metric[0], metric[1].name
        values = np.array([run.curves[of].values for run in mine])
        ends = [mean(each, bounds=metric[1].bounds)[1:] for each in values.T]
        np.testing.assert_array_equal(curve.steps, np.arange(50, 501, 50))
        np.testing.assert_allclose(np.transpose(curve.estimates)[0], values.mean(0))
        np.testing.assert_allclose(np.array(curve.estimates)[:, 1:], ends)
        assert np.all(np.array(ends) >= 0)
        assert curve.density == pytest.approx(0.5**curve.level + 0.015)


@pytest.mark.parametrize("num_points", [1, 2, 149, 150, 151, 299, 300, 301, 500, 4_999])
def test_at_most_150_points_are_drawn_evenly_and_the_last(num_points):
    runs = make_runs(num_points, num_replicates=1)
    curve = learning_curves(runs, [0], "test", ACCURACY)[0]
    assert len(curve.steps) == len(curve.estimates) <= 150
    assert len(curve.steps) > 75 or len(curve.steps) == num_points
    assert curve.steps[-1] == 50 * num_points
    assert len(set(np.diff(curve.steps))) <= 1
    (run,) = [run for run in runs if run.level == 0]
    values = dict(zip(*run.curves["test", "accuracy"], strict=True))
    for step, estimate in zip(curve.steps, curve.estimates, strict=True):
        assert estimate.value == values[step]
        assert not estimate.has_interval  # one replicate


def test_levels_that_have_not_run_have_no_curves():
    assert learning_curves(make_runs(), [3], "test", ACCURACY) == []
    assert learning_curves(make_runs(), [], "test", ACCURACY) == []


@given(st.integers(0, 60), st.integers(2, 20))
def test_items_are_spread_with_the_first_and_last_among_them(length, most):
    found = spread(range(length), most)
    assert len(found) == min(length, most)
    assert found == sorted(set(found))
    if found:
        assert (found[0], found[-1]) == (0, length - 1)
    gaps = np.diff(found)
    if len(gaps):
        assert gaps.max() - gaps.min() <= 1


def test_few_items_are_all_kept():
    assert spread("abc", 3) == ["a", "b", "c"]
    assert spread("abcdefg", 4) == ["a", "c", "e", "g"]
    assert spread([], 3) == []
