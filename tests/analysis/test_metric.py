"""Studies judged by loss, compared with the same studies judged by accuracy."""

import math

import numpy as np
import pytest
from support import standings
from support.studies import by_loss, exact, rarely_tested

from lth_jax.analysis import words
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.metric import ACCURACY, LOSS, metric_of
from lth_jax.analysis.outcomes import DENSE, outcomes
from lth_jax.analysis.verdict import as_json, judge
from lth_jax.config import Claim, VerdictConfig

MINUS = "\N{MINUS SIGN}"
NONE = math.nan, math.nan


@pytest.fixture(scope="module")
def both():
    """Verdicts with the same margin; every loss is 1 minus the accuracy."""
    runs = standings.study()
    dense = outcomes(by_loss(runs))[DENSE].early_stop_metric.mean()
    settings = VerdictConfig(accuracy_margin=0.01, loss_margin=0.01 / dense)
    return judge(runs, settings), judge(by_loss(runs), settings)


def test_accuracy_is_the_metric_where_there_is_one():
    runs = standings.study(2)
    assert metric_of(runs) is ACCURACY
    assert metric_of(by_loss(runs)).name == LOSS.name


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 2.5, 1e7])
def test_the_scale_of_a_loss_changes_no_answer(both, factor):
    """And all numbers of a study have the same decimals, unless it is very small."""
    runs = [scaled(run, factor) for run in by_loss(standings.study())]
    margin = both[1].metric_margin / outcomes(runs)[DENSE].early_stop_metric.mean()
    found = judge(runs, VerdictConfig(loss_margin=factor * margin))
    for mine, other in zip(found.levels, both[1].levels, strict=True):
        for field in ("matches_dense", "beats_reinit", "winning"):
            assert getattr(mine, field).answer == getattr(other, field).answer
    ends = (found.metric.ends(x.early_stop_metric) for x in found.summaries)
    lows = [text[1:].split(",")[0] for text in ends]
    decimals = {len(low.partition(".")[2]) for low in lows}
    assert len(decimals) == 1


def scaled(run, factor):
    """The run with other losses of the test split."""
    curve = run.curves["test", "loss"]
    larger = curve._replace(values=factor * curve.values)
    return run._replace(curves=run.curves | {("test", "loss"): larger})


def test_the_answers_are_the_same_where_less_is_better(both):
    accuracy, loss = both
    for a, b in zip(accuracy.levels, loss.levels, strict=True):
        for field in ("matches_dense", "beats_reinit", "as_fast_as_dense", "winning"):
            x, y = getattr(a, field), getattr(b, field)
            assert x.answer == y.answer
            np.testing.assert_allclose(x.p, y.p, rtol=1e-6)
    assert accuracy.answers.below_dense_from == loss.answers.below_dense_from
    assert accuracy.answers.sparsest_matching == loss.answers.sparsest_matching
    assert accuracy.answers.winning == loss.answers.winning
    assert accuracy.answers.best.level == loss.answers.best.level
    best = accuracy.answers.best.estimate, loss.answers.best.estimate
    assert best[0].value == pytest.approx(-best[1].value)
    assert best[0].low == pytest.approx(-best[1].high)


def test_differences_are_in_the_metrics_own_direction(both):
    for a, b in zip(both[0].comparisons, both[1].comparisons, strict=True):
        gain = a.early_stop_difference.value
        assert b.early_stop_difference.value == pytest.approx(-gain)
        assert b.final_difference.value == pytest.approx(-a.final_difference.value)
        np.testing.assert_allclose(a.p, b.p, rtol=1e-6)


def test_criteria_have_the_same_order(both):
    a, b = (verdict.standings for verdict in both)
    assert [s.arm for s in a] == [s.arm for s in b]
    for x, y in zip(a, b, strict=True):
        assert x.mean_metric == pytest.approx(1 - y.mean_metric)
        for mine, other in zip(x.scores, y.scores, strict=True):
            assert mine.answer == other.answer
            expected = other.above_random.value
            np.testing.assert_allclose(mine.above_random.value, expected, atol=1e-9)


def test_the_sentences_speak_of_loss(both):
    told = words.sentences(both[1])
    best = both[1].answers.best
    dense = both[1].summaries[0].early_stop_metric.value
    assert f"({1 / dense:.3g}% above it at most)" in told[2]
    assert told[4].startswith(
        f"The ticket has the least loss at {words.percent(best.density)}:"
        f" {both[1].metric.difference(best.estimate)} from dense (95% interval"
    )
    (criteria,) = [s for s in told if s.startswith("Of 5 criteria")]
    assert "snip has the least mean loss at 25%" in criteria
    assert (
        "to be better than random pruning: 2; worse than it: 1; undecided: 1." in criteria
    )
    assert any(s.startswith("Going sparser, first shown to be worse") for s in told)
    assert not any("accura" in s or "points" in s for s in told)


def test_the_keys_of_the_data_name_the_metric(both):
    for verdict, name in zip(both, ("accuracy", "loss"), strict=True):
        found = as_json(verdict)
        assert found[f"{name}_margin"] == pytest.approx(0.01)
        assert f"early_stop_{name}" in found["summaries"][0]
        assert f"mean_{name}" in found["standings"][0]
        assert name in found["standings"][0]["scores"][0]
        assert "metric" not in str(found)


@pytest.mark.parametrize("change", [list, by_loss], ids=["accuracy", "loss"])
def test_tested_rarely_a_study_says_the_same(change):
    runs = change(standings.study(5))
    often, rarely = outcomes(runs), outcomes(rarely_tested(runs))
    for key, outcome in often.items():
        for mine, other in zip(outcome[5:], rarely[key][5:], strict=True):
            np.testing.assert_array_equal(mine, other)


def test_claims_on_another_metric_are_not_measured():
    runs = exact({DENSE: (0.9, 300), ("ticket", 1): (0.8, 300)}, 2)
    claims = tuple(
        Claim(0.5, measure, 0.1, -1.0, 1.0, "table 1") for measure in ("accuracy", "loss")
    )
    settings = VerdictConfig(claims=claims)
    for change, sign, measured in ((list, -1, 0), (by_loss, 1, 1)):
        checks = judge(change(runs), settings).claims
        assert checks[1 - measured].answer == "not measured"
        assert checks[1 - measured].estimate is None
        assert checks[measured].estimate.value == pytest.approx(0.1 * sign)


@pytest.mark.parametrize(
    ("show", "estimate", "text"),
    [
        (LOSS.text, (0.123456, 0.12, 0.126912), "0.1235 ± 0.0035"),
        (LOSS.text, (123.4, *NONE), "123.4"),
        (
            LOSS.difference,
            (-0.01234, -0.02, 0.001),
            f"{MINUS}0.0123 [{MINUS}0.02, +0.001]",
        ),
        (LOSS.difference, (0.0, *NONE), "0"),
    ],
)
def test_losses_are_shown_with_the_digits_that_matter(show, estimate, text):
    assert show(Estimate(*estimate)) == text
