import pytest
from support.studies import make_run

from lth_jax.analysis import intervals
from lth_jax.analysis.outcomes import outcomes, summarize


def summary(steps, accuracies, final):
    runs = [
        make_run("reinit", 3, replicate, *values)
        for replicate, values in enumerate(zip(steps, accuracies, final, strict=True))
    ]
    (outcome,) = outcomes(runs).values()
    return summarize(outcome)


def test_a_summary_has_means_and_intervals_within_the_possible():
    values = {
        "early_stop_step": [200, 700, 300, 10_000],
        "early_stop_metric": [0.95, 0.96, 0.955, 0.94],
        "final_metric": [0.96, 0.97, 0.97, 0.94],
    }
    found = summary(*values.values())
    assert found[:6] == ("reinit", 3, 0.125, 125, 4, 1)
    for name, sample in values.items():
        estimate = getattr(found, name)
        bounds = (100, 10_000) if name == "early_stop_step" else (0, 1)
        assert estimate == intervals.mean(sample, bounds=bounds)
        assert bounds[0] < estimate.low < estimate.value < estimate.high < bounds[1]
    assert found.final_train_metric.value == pytest.approx(0.999)
    assert not found.final_train_metric.has_interval  # all alike


def test_one_replicate_has_no_interval():
    found = summary([200], [0.95], [0.96])
    assert found.num_replicates == 1
    assert found.early_stop_step.value == 200
    assert found.early_stop_metric.value == 0.95
    for estimate in found[6:]:
        assert not estimate.has_interval
