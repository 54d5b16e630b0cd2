import math

import numpy as np
import pytest
import scipy.stats

from lth_jax.analysis.summary import early_stop, estimate, summarize
from lth_jax.study.records import Curve, Run


def make_run(losses, accuracies, arm="ticket", replicate=0, level=1):
    steps = np.array([100, 200, 300, 400])
    return Run(
        arm,
        replicate,
        level,
        0.5,
        {
            ("validation", "loss"): Curve(steps, np.array(losses)),
            ("test", "accuracy"): Curve(steps, np.array(accuracies)),
            ("mask", "weights_left"): Curve(steps[:1], np.array([50 + replicate])),
        },
    )


def test_the_early_stop_is_the_first_least_validation_loss():
    run = make_run([0.5, 0.3, 0.3, 0.4], [0.9, 0.91, 0.99, 0.95])
    assert early_stop(run) == (200, 0.91)  # not 300, though test accuracy is higher
    assert early_stop(make_run([4, 3, 2, 1], [0.1, 0.2, 0.3, 0.4])) == (400, 0.4)


@pytest.mark.parametrize("n", [2, 5, 30])
def test_intervals_agree_with_scipy(n):
    values = np.random.default_rng(n).normal(3, 2, n)
    found = estimate(list(values))
    low, high = scipy.stats.t.interval(
        0.95, n - 1, loc=values.mean(), scale=scipy.stats.sem(values)
    )
    np.testing.assert_allclose(found.mean - found.half_width, low)
    np.testing.assert_allclose(found.mean + found.half_width, high)


def test_one_replicate_has_no_interval():
    found = estimate([0.5])
    assert found.mean == 0.5
    assert math.isnan(found.half_width)


def test_summaries_are_by_level_and_arm():
    runs = [
        make_run([2, 1, 3, 3], [0.1, 0.5, 0.3, 0.7], replicate=0),
        make_run([2, 3, 1, 3], [0.1, 0.5, 0.7, 0.9], replicate=1),
        make_run([1, 2, 3, 3], [0.2, 0.5, 0.3, 0.1], arm="reinit"),
        make_run([1, 2, 3, 3], [0.3, 0.5, 0.3, 0.1], level=0),
    ]
    found = {(s.level, s.arm): s for s in summarize(runs)}
    assert list(found) == [(0, "ticket"), (1, "reinit"), (1, "ticket")]
    ticket = found[1, "ticket"]
    assert ticket.num_replicates == 2
    assert ticket.weights_left == 50  # 50.5, to the even neighbour
    assert ticket.early_stop_step.mean == 250
    assert ticket.early_stop_accuracy.mean == pytest.approx(0.6)
    assert ticket.final_accuracy.mean == pytest.approx(0.8)
