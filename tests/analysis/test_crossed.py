"""Intervals over replicates and test examples, on crossed data of known truth."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
from support.studies import make_run
from support.tiers import quick

from lth_jax.analysis import intervals
from lth_jax.analysis.comparison import Pair
from lth_jax.analysis.crossed import examples_error
from lth_jax.analysis.metric import ACCURACY
from lth_jax.analysis.outcomes import DENSE, outcomes, summarize
from lth_jax.analysis.verdict import judge
from lth_jax.config import VerdictConfig
from lth_jax.store.correct import Correct

NUM_STUDIES, NUM_EXAMPLES = 1_000, 1_000


def anova(table):
    """Mean squares of nets, examples and the rest, of a table [R, N], cell by cell."""
    nets, examples = table.shape
    grand = table.mean()
    by_net = examples * sum((row.mean() - grand) ** 2 for row in table) / (nets - 1)
    by_example = nets * sum((c.mean() - grand) ** 2 for c in table.T) / (examples - 1)
    rest = sum(
        (table[r, e] - table[r].mean() - table[:, e].mean() + grand) ** 2
        for r in range(nets)
        for e in range(examples)
    )
    return by_net, by_example, rest / ((nets - 1) * (examples - 1))


@pytest.mark.parametrize(("nets", "examples"), [(2, 12), (5, 30)])
def test_the_error_is_that_of_the_examples_mean_square(nets, examples):
    rng = np.random.default_rng(nets)
    right = rng.random((nets, examples)) < rng.random(examples)
    _, by_example, rest = anova(right.astype(float))
    error = examples_error(right)
    assert error > 0
    assert error == pytest.approx(math.sqrt((by_example - rest) / right.size))
    # Right by all or by none, a net more adds nothing: the error of one binomial sample.
    alike = np.tile(right[0], (nets, 1))
    assert examples_error(alike) == pytest.approx(scipy.stats.sem(right[0]))


def test_examples_that_differ_by_chance_alone_add_nothing():
    each = np.array([[1, 0, 1, 0], [0, 1, 0, 1]], bool)
    assert examples_error(each) == 0
    assert math.isnan(examples_error(each[:1]))


def drawn(rng, nets, arms, spread, difficulty, own):
    """Right or wrong, bool[arms, R, N], by a probit of nets and examples.

    `spread` and `difficulty` are the variances of nets and of examples that arms share,
    and `own` that of examples of an arm alone; accuracies are what is expected.
    """
    total = math.sqrt(1 + spread + difficulty + own)
    shared = rng.normal(0, math.sqrt(difficulty), NUM_EXAMPLES)
    found = []
    for accuracy in arms:
        net = rng.normal(0, math.sqrt(spread), (nets, 1))
        example = shared + rng.normal(0, math.sqrt(own), NUM_EXAMPLES)
        noise = rng.normal(size=(nets, NUM_EXAMPLES))
        found.append(scipy.special.ndtri(accuracy) * total + net + example + noise > 0)
    return np.array(found)


CASES = [  # accuracies of ticket and dense, and variances as `drawn` takes them
    (0.59, 0.565, 0.002, 1.0, 0.1),
    (0.98, 0.978, 0.01, 4.0, 0.2),
    (0.59, 0.565, 0.02, 1.0, 0.1),
    (0.80, 0.790, 0.0, 2.0, 0.3),
]


@pytest.mark.parametrize("nets", quick(3, 10, of=[2, 3, 5, 10]))
@pytest.mark.parametrize(
    ("ticket", "dense", "spread", "difficulty", "own"), quick(CASES[0], of=CASES)
)
def test_intervals_cover_nets_and_examples(ticket, dense, spread, difficulty, own, nets):
    rng = np.random.default_rng(nets)
    held = {"one way": [], "accuracy": [], "difference": []}
    for _ in range(NUM_STUDIES):
        pair = drawn(rng, nets, (ticket, dense), spread, difficulty, own)
        means, bounds = pair.mean(2), (0.0, 1.0)
        for name, truth, found in (
            ("one way", ticket, intervals.mean(means[0], bounds=bounds)),
            (
                "accuracy",
                ticket,
                intervals.mean(means[0], bounds=bounds, error=examples_error(pair[0])),
            ),
            (
                "difference",
                ticket - dense,
                intervals.mean_difference(
                    means[0] - means[1],
                    bounds=bounds,
                    error=examples_error(pair[0].astype(int) - pair[1]),
                ),
            ),
        ):
            if found.has_interval:
                held[name].append(found.low <= truth <= found.high)
    coverage = {name: np.mean(values) for name, values in held.items()}
    for name in ("accuracy", "difference"):
        assert coverage[name] >= 0.93
        assert nets == 2 or coverage[name] <= 0.985
    assert coverage["one way"] < coverage["accuracy"]


# Of studies.


def study(nets=4):
    """Runs of a dense net and its ticket, and which examples they have right."""
    rng = np.random.default_rng(0)
    ends = [drawn(rng, nets, (0.6, 0.55), 0.002, 1.0, 0.1) for _ in range(2)]
    correct = {
        key: Correct(*(end[i] for end in ends))
        for i, key in enumerate((("ticket", 1), DENSE))
    }
    runs = [
        make_run(*key, r, 400, found.early_stop[r].mean(), found.final[r].mean())
        for key, found in correct.items()
        for r in range(nets)
    ]
    return runs, correct


def test_an_outcome_has_both_intervals_of_one_mean():
    runs, correct = study()
    for key, outcome in outcomes(runs, correct).items():
        summary = summarize(outcome)
        for field in ("early_stop", "final"):
            table = getattr(correct[key], field)
            one_way = getattr(summary, f"{field}_metric")
            two_way = getattr(summary, f"{field}_two_way")
            assert one_way.value == two_way.value == pytest.approx(table.mean())
            assert 0 < two_way.low < one_way.low < one_way.high < two_way.high < 1
            error = examples_error(table)
            assert two_way == intervals.mean(table.mean(1), bounds=(0, 1), error=error)


def test_a_difference_has_both_and_the_verdict_is_the_same_without():
    runs, correct = study()
    found = outcomes(runs, correct)
    pair = Pair(found["ticket", 1], found[DENSE])
    told, without = (
        judge(runs, VerdictConfig(), correct=correct),
        judge(runs, VerdictConfig()),
    )
    (comparison,) = told.comparisons
    gains = correct["ticket", 1].early_stop.astype(int) - correct[DENSE].early_stop
    reach = comparison.early_stop_difference.high - comparison.early_stop_difference.value
    other = scipy.stats.norm.ppf(0.975) * examples_error(gains)
    both = comparison.early_stop_two_way.high - comparison.early_stop_two_way.value
    assert both == pytest.approx(math.hypot(reach, other))
    assert comparison.early_stop_two_way == pair.two_way()
    assert comparison.final_two_way == pair.two_way("final_metric")
    assert comparison.final_two_way != comparison.early_stop_two_way
    assert told.answers.best.two_way == comparison.early_stop_two_way  # of one level
    assert told.levels == without.levels
    assert told.answers.best.estimate == without.answers.best.estimate
    assert not without.comparisons[0].early_stop_two_way.has_interval


def test_unknown_answers_have_no_second_interval():
    runs, correct = study()
    for left in ({}, {DENSE: correct[DENSE]}):
        found = outcomes(runs, left)
        assert not Pair(found["ticket", 1], found[DENSE]).two_way().has_interval
        assert not summarize(found["ticket", 1]).early_stop_two_way.has_interval
    assert summarize(found[DENSE]).early_stop_two_way.has_interval
    alone = [run for run in runs if run.replicate == 0]
    first = {k: Correct(*(x[:1] for x in found)) for k, found in correct.items()}
    assert not summarize(outcomes(alone, first)[DENSE]).early_stop_two_way.has_interval


def test_the_ends_of_an_interval_are_shown_alone():
    found = intervals.Estimate(0.01, -0.0123, 0.0323)
    assert ACCURACY.ends(found, True) == "[\N{MINUS SIGN}1.23, +3.23]"
    assert ACCURACY.ends(intervals.Estimate(0.9, 0.8712, 0.92)) == "[87.12, 92.00]"
    assert ACCURACY.ends(intervals.NONE) == ""
