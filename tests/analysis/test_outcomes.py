import itertools

import numpy as np
import pytest
from support.studies import STEPS, make_run

from lth_jax.analysis.outcomes import DENSE, early_stop, outcomes
from lth_jax.store.records import Curve, RecordsError


def run_with(losses, accuracies):
    steps = np.array([100, 200, 300, 400])
    run = make_run("ticket", 1, 0, step=100, accuracy=0.5)
    run.curves["validation", "loss"] = Curve(steps, np.array(losses))
    run.curves["test", "accuracy"] = Curve(steps, np.array(accuracies))
    return run


@pytest.mark.parametrize(
    ("losses", "accuracies", "found"),
    [
        # Not 300, though test accuracy is higher there.
        ([0.5, 0.3, 0.3, 0.4], [0.9, 0.91, 0.99, 0.95], (200, 0.91)),
        ([4, 3, 2, 1], [0.1, 0.2, 0.3, 0.4], (400, 0.4)),
        ([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4], (100, 0.1)),
        ([3, 2, np.inf, 4], [0.1, 0.2, 0.3, 0.4], (200, 0.2)),
    ],
)
def test_the_early_stop_is_the_first_least_validation_loss(losses, accuracies, found):
    assert early_stop(run_with(losses, accuracies)) == found


def test_a_net_stops_no_earlier_than_it_is_sparse_and_only_if_it_is():
    run = run_with([0.1, 0.2, 0.4, 0.3], [0.9, 0.8, 0.7, 0.6])
    run.curves["mask", "weights_left"] = Curve(np.array([201]), np.array([50]))
    assert early_stop(run) == (400, 0.6)
    run.curves["mask", "weights_left"] = Curve(np.array([401]), np.array([50]))
    with pytest.raises(RecordsError, match=r"arm ticket, level 1: .* at step 401"):
        early_stop(run)


def test_an_outcome_has_what_each_replicate_reached():
    runs = [
        make_run("reinit", 2, 0, step=300, accuracy=0.91, final=0.92, density=0.50),
        make_run("reinit", 2, 1, step=STEPS[-1], accuracy=0.93, density=0.51),
        make_run("reinit", 2, 2, step=100, accuracy=0.97, final=0.92, density=0.52),
    ]
    (found,) = outcomes(runs).values()
    assert (found.arm, found.level) == ("reinit", 2)
    assert found.density == pytest.approx(0.51)
    assert found.weights_left == 510
    np.testing.assert_array_equal(found.early_stop_step, [300, STEPS[-1], 100])
    np.testing.assert_array_equal(found.early_stop_metric, [0.91, 0.93, 0.97])
    np.testing.assert_array_equal(found.final_metric, [0.92, 0.93, 0.92])
    np.testing.assert_array_equal(found.final_train_metric, [0.999] * 3)
    assert found.num_still_improving == 1


def test_outcomes_are_by_level_arm_and_replicate_however_the_runs_come():
    keys = [("shuffle", 2), ("ticket", 1), DENSE, ("ticket", 2), ("reinit", 1)]
    runs = [
        make_run(*key, replicate, 100, replicate / 10)
        for replicate, key in itertools.product((2, 0, 1), keys)
    ]
    found = outcomes(runs)
    assert list(found) == sorted(keys, key=lambda key: (key[1], key[0]))
    for key, outcome in found.items():
        assert (outcome.arm, outcome.level) == key
        np.testing.assert_array_equal(outcome.early_stop_metric, [0.0, 0.1, 0.2])
