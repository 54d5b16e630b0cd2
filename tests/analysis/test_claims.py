import math

import numpy as np
import pytest
from support.studies import exact, make_run, noisy

from lth_jax.analysis import intervals
from lth_jax.analysis.claims import check_claims
from lth_jax.analysis.outcomes import DENSE, outcomes
from lth_jax.config import Claim

TRUTH = {
    DENSE: (0.950, 4_000),
    ("ticket", 1): (0.956, 2_500),
    ("ticket", 2): (0.953, 2_000),
    ("reinit", 1): (0.945, 5_000),
}
RUNS = noisy(TRUTH, 40, noise=0.002, spread=0.2, rng=np.random.default_rng(0))
FOUND = outcomes(RUNS)


def check(measure="accuracy", low=None, high=None, density=0.5, found=FOUND, **others):
    claim = Claim(density, measure, 0.005, low, high, "figure 4a", **others)
    (checked,) = check_claims([claim], found)
    assert checked.claim is claim
    return checked


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [
        (0.003, 0.009, "holds"),
        (0.003, None, "holds"),
        (None, 0.009, "holds"),
        (None, None, "holds"),
        (0.010, 0.020, "does not hold"),
        (0.010, None, "does not hold"),
        (None, 0.002, "does not hold"),
        (-0.020, 0.002, "does not hold"),
        (0.006, 0.020, "undecided"),
        (0.006, None, "undecided"),
        (None, 0.006, "undecided"),
        (0.0059, 0.0061, "undecided"),  # the interval is wider
    ],
)
def test_a_difference_is_within_the_bounds_or_not(low, high, answer):
    found = check("accuracy", low, high)
    assert found.level == 1
    assert found.answer == answer
    gain = FOUND["ticket", 1].early_stop_metric - FOUND[DENSE].early_stop_metric
    assert found.estimate == intervals.mean(gain)
    assert found.estimate.low < 0.006 < found.estimate.high


def test_an_interval_may_end_at_a_bound():
    estimate = check().estimate
    assert check("accuracy", estimate.low, estimate.high).answer == "holds"
    assert check("accuracy", estimate.high, None).answer == "undecided"
    assert check("accuracy", None, estimate.low).answer == "undecided"
    inside = (estimate.value + estimate.low) / 2, (estimate.value + estimate.high) / 2
    assert check("accuracy", inside[0], None).answer == "undecided"
    assert check("accuracy", None, inside[1]).answer == "undecided"


@pytest.mark.parametrize(
    ("measure", "reference", "truth"),
    [
        ("accuracy", "none", 0.956),
        ("accuracy", "dense", 0.006),
        ("accuracy", "reinit", 0.011),
        ("final_accuracy", "none", 0.956),
        ("final_accuracy", "reinit", 0.011),
        ("early_stop_step", "none", 2_500),
        ("early_stop_step", "dense", -1_500),
        ("speedup", "dense", 4_000 / 2_500),
        ("speedup", "reinit", 5_000 / 2_500),
    ],
)
def test_measures_are_absolute_differences_or_ratios(measure, reference, truth):
    found = check(measure, reference=reference)
    assert found.estimate.low < truth < found.estimate.high
    width = found.estimate.high - found.estimate.low
    assert check(measure, truth - width, truth + width, reference=reference).answer == (
        "holds"
    )


def test_final_accuracy_is_not_that_at_early_stop():
    runs = [make_run(*DENSE, r, 400, 0.9 + r / 100, final=0.8 + r / 50) for r in range(3)]
    found = outcomes(runs)
    early = check("accuracy", density=1.0, reference="none", found=found)
    final = check("final_accuracy", density=1.0, reference="none", found=found)
    assert early.estimate.value == pytest.approx(0.91)
    assert final.estimate.value == pytest.approx(0.82)


def test_a_speedup_is_the_ratio_of_means():
    steps = FOUND[DENSE].early_stop_step, FOUND["ticket", 2].early_stop_step
    found = check("speedup", 1.5, 2.5, density=0.25)
    assert (found.level, found.answer) == (2, "holds")
    assert found.estimate == intervals.ratio_of_means(*steps)


def test_claims_are_not_measured_at_a_level_without_weights():
    runs = [run._replace(density=0.0) if run.level == 2 else run for run in RUNS]
    assert check(density=0.5, found=outcomes(runs)).level == 1
    assert check(density=0.25, found=outcomes(runs)).answer == "not measured"


def test_claims_can_be_about_another_arm():
    found = check("speedup", None, 1.0, arm="reinit")
    assert (found.level, found.answer) == (1, "holds")
    assert found.estimate.value == pytest.approx(0.8, rel=0.1)


@pytest.mark.parametrize(
    ("density", "level"),
    [
        (1.0, 0),
        (0.92, 0),
        (0.9, None),
        (0.6, None),
        (0.54, 1),
        (0.5, 1),
        (0.46, 1),
        (0.45, None),
        (0.26, 2),
        (0.1, None),
    ],
)
def test_the_level_is_the_nearest_within_10_percent(density, level):
    found = check(density=density, reference="none")
    assert found.level == level
    assert (found.answer == "not measured") == (level is None)
    assert (found.estimate is None) == (level is None)


def test_of_two_levels_within_10_percent_the_nearer_counts():
    runs = [
        make_run("ticket", level, replicate, 400, 0.9 + level / 100, density=density)
        for level, density in ((1, 0.50), (2, 0.47))
        for replicate in (0, 1)
    ]
    for density, level in ((0.51, 1), (0.49, 1), (0.48, 2), (0.45, 2)):
        found = check(density=density, reference="none", found=outcomes(runs))
        assert found.level == level
        assert found.estimate.value == pytest.approx(0.9 + level / 100)


@pytest.mark.parametrize(
    ("density", "others", "level"),
    [
        (0.25, {"reference": "reinit"}, 2),  # reinit is behind
        (0.5, {"reference": "shuffle"}, 1),
        (0.5, {"arm": "shuffle"}, None),
        (1.0, {"arm": "reinit"}, None),
        (1.0, {"reference": "reinit"}, 0),
    ],
)
def test_what_has_not_run_is_not_measured(density, others, level):
    assert check(density=density, **others)[1:] == (level, None, "not measured")


@pytest.mark.parametrize("num_replicates", [1, 5])
@pytest.mark.parametrize(
    ("measure", "value"),
    [("accuracy", 0.006), ("speedup", 1.6), ("final_accuracy", 0.006)],
)
def test_without_an_interval_a_claim_is_undecided(measure, value, num_replicates):
    found = check(measure, found=outcomes(exact(TRUTH, num_replicates)))
    assert found.answer == "undecided"
    assert found.estimate.value == pytest.approx(value)
    assert math.isnan(found.estimate.low)


def test_claims_are_checked_in_their_order():
    claims = [
        Claim(0.25, "speedup", 2.0, 1.0, 3.0, "a"),
        Claim(0.01, "accuracy", 0.0, -0.1, 0.1, "b"),
        Claim(0.5, "accuracy", 0.0, 0.1, 0.2, "c"),
    ]
    found = check_claims(claims, FOUND)
    assert [x.claim.source for x in found] == ["a", "b", "c"]
    assert [x.answer for x in found] == ["holds", "not measured", "does not hold"]
    assert check_claims([], FOUND) == []
