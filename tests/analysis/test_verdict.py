import json
import math
import random

import numpy as np
import pytest
from support.studies import DENSITIES, EVERY, exact, make_run, noisy

from lth_jax.analysis import intervals
from lth_jax.analysis.outcomes import DENSE, outcomes
from lth_jax.analysis.verdict import Choice, Finding, Place, as_json, judge
from lth_jax.config import Claim, VerdictConfig

MARGIN = 0.002
SETTINGS = VerdictConfig(accuracy_margin=MARGIN)

# Accuracy and early-stop step of each arm from level 1. The ticket wins at levels 1 to 3,
# learning fastest at 2; at 4 it is no better than a fresh init, and slower than dense; at
# 5 and 6 it is below dense.
ARMS = {
    "ticket": [
        (0.954, 3_000),
        (0.957, 2_000),
        (0.950, 2_500),
        (0.950, 5_500),
        (0.943, 2_000),
        (0.930, 8_000),
    ],
    "reinit": [
        (0.950, 4_000),
        (0.946, 5_000),
        (0.944, 6_000),
        (0.950, 6_000),
        (0.940, 7_000),
        (0.935, 7_000),
    ],
    "shuffle": [(0.944, 5_000), *((0.940 - 0.005 * i, 6_000) for i in range(5))],
}
TRUTH = {DENSE: (0.950, 4_000)} | {
    (arm, level): truth
    for arm, levels in ARMS.items()
    for level, truth in enumerate(levels, 1)
}


def without(*arms):
    return {key: value for key, value in TRUTH.items() if key[0] not in arms}


def study(truth=TRUTH, num_replicates=60, noise=0.002, spread=0.25, seed=0):
    rng = np.random.default_rng(seed)
    return noisy(truth, num_replicates, noise, spread, rng)


def verdict_on(runs, settings=SETTINGS):
    """The verdict, which JSON can hold whatever it is."""
    found = judge(runs, settings)
    assert json.loads(json.dumps(as_json(found), allow_nan=False)) == as_json(found)
    return found


def answers(found, question):
    return [getattr(level, question).answer for level in found.levels]


def place(level):
    return Place(level, DENSITIES[level])


# Known truths.


@pytest.fixture(scope="module")
def told():
    return verdict_on(study())


def test_many_replicates_tell_the_truth_at_every_level(told):
    assert [level.level for level in told.levels] == [1, 2, 3, 4, 5, 6]
    assert [level.density for level in told.levels] == DENSITIES[1:7]
    assert [level.weights_left for level in told.levels] == [500, 250, 125, 62, 31, 16]
    assert answers(told, "matches_dense") == ["yes"] * 4 + ["no"] * 2
    assert answers(told, "beats_reinit") == ["yes"] * 3 + ["no", "yes", "no"]
    assert answers(told, "as_fast_as_dense") == ["yes"] * 3 + ["no", "yes", "no"]
    assert answers(told, "winning") == ["yes"] * 3 + ["no"] * 3


def test_many_replicates_tell_the_truth_for_short(told):
    assert told.metric_margin == MARGIN
    assert told.num_replicates == 60
    found = told.answers
    assert found.sparsest_matching == place(4)
    assert (found.best.level, found.best.density) == place(2)
    assert found.best.estimate.low <= 0.007 <= found.best.estimate.high
    assert (found.fastest.level, found.fastest.density) in (place(2), place(5))
    assert found.fastest.estimate.low <= 2 <= found.fastest.estimate.high
    assert found.below_dense_from == {
        "reinit": place(2),
        "shuffle": place(1),
        "ticket": place(5),
    }
    assert found.winning == [place(1), place(2), place(3)]


def test_decided_answers_are_significant(told):
    for level in told.levels:
        for finding in level[3:]:
            assert finding.answer in ("yes", "no")
            if finding.answer == "yes":
                assert finding.p <= 0.05
    for level in told.levels[:3]:
        assert level.winning.p == max(finding.p for finding in level[3:6])


def test_the_chosen_estimates_are_widened_for_the_choice(told):
    found = outcomes(study())
    level = told.answers.best.level
    gain = found["ticket", level].early_stop_metric - found[DENSE].early_stop_metric
    assert told.answers.best.estimate == intervals.mean(gain, 1 - 0.05 / 6)
    level = told.answers.fastest.level
    steps = found[DENSE].early_stop_step, found["ticket", level].early_stop_step
    expected = intervals.ratio_of_means(*steps, 1 - 0.05 / 6)
    assert told.answers.fastest.estimate == expected


def test_few_noisy_replicates_leave_it_undecided():
    runs = []
    for r, (z, other) in enumerate([(-1, 1), (0, -1), (1, 0)]):
        dense = 0.95 + 0.003 * r
        ticket = dense + 0.002 + 0.006 * z
        runs.append(make_run(*DENSE, r, 4_000, dense))
        runs.append(make_run("ticket", 1, r, 4_000 + 500 * z, ticket))
        runs.append(make_run("reinit", 1, r, 4_000, ticket - 0.005 - 0.006 * other))
    found = verdict_on(runs)
    (level,) = found.levels
    for finding in level[3:]:
        assert finding.answer == "undecided"
        assert finding.p > 0.05
    assert level.winning.p == max(finding.p for finding in level[3:6])
    assert found.answers.sparsest_matching is None
    assert found.answers.winning == []
    assert found.answers.below_dense_from == {"ticket": None, "reinit": None}


def one_level(ticket, reinit, dense=(0.95, 4_000), **settings):
    truth = {DENSE: dense, ("ticket", 1): ticket, ("reinit", 1): reinit}
    (level,) = verdict_on(study(truth, **settings)).levels
    return level


def test_a_fresh_init_that_does_as_well_within_the_margin_is_a_no():
    level = one_level((0.955, 3_000), (0.955, 3_000), seed=1)
    assert level.matches_dense.answer == "yes"
    assert level.beats_reinit.answer == "no"
    assert level.beats_reinit.p <= 0.05
    assert level.winning.answer == "no"
    # Not for want of a difference alone: it must be shown to be less than the margin.
    few = one_level((0.955, 3_000), (0.955, 3_000), num_replicates=3, noise=0.004, seed=1)
    assert few.beats_reinit.answer == "undecided"
    # Nor is it a no where it is shown to be above, be it by less than the margin.
    above = one_level((0.955, 3_000), (0.9545, 3_000), noise=0.001, seed=1)
    assert above.beats_reinit.answer == "yes"
    better = one_level((0.955, 3_000), (0.960, 3_000), seed=1)
    assert better.beats_reinit.answer == "no"


def test_a_slower_ticket_does_not_win():
    level = one_level((0.955, 6_000), (0.945, 6_000))
    assert level.matches_dense.answer == level.beats_reinit.answer == "yes"
    assert level.as_fast_as_dense.answer == "no"
    assert level.winning.answer == "no"


def test_a_ticket_must_be_shown_to_learn_no_more_slowly():
    """Within the margin; that it is not shown to be slower does not do."""
    level = one_level((0.955, 4_000), (0.945, 6_000), num_replicates=200)
    assert level.as_fast_as_dense.answer == level.winning.answer == "yes"
    few = one_level((0.955, 4_000), (0.945, 6_000), num_replicates=10, seed=2)
    assert few.matches_dense.answer == few.beats_reinit.answer == "yes"
    assert few.as_fast_as_dense.answer == few.winning.answer == "undecided"


def test_nets_that_are_not_rewound_are_no_tickets():
    found = judge(study(), SETTINGS, is_rewound=False)
    assert answers(found, "winning") == ["not tested"] * 6
    assert answers(found, "matches_dense") == ["yes"] * 4 + ["no"] * 2
    assert found.answers.winning == []


@pytest.mark.slow
@pytest.mark.parametrize("num_replicates", [5, 10, 20])
def test_a_slower_ticket_seldom_wins_however_few_the_replicates(num_replicates):
    """1.5 times as slow as dense, and better in all else."""
    truth = {DENSE: (0.95, 2_000), ("ticket", 1): (0.96, 3_000)}
    truth |= {("reinit", 1): (0.94, 3_000)}
    rng, wins = np.random.default_rng(0), 0
    for _ in range(400):
        (level,) = judge(noisy(truth, num_replicates, 0.002, 0.25, rng), SETTINGS).levels
        assert level.matches_dense.answer == level.beats_reinit.answer == "yes"
        wins += level.winning.answer == "yes"
    assert wins <= 0.05 * 400


@pytest.mark.parametrize(
    ("below", "margin", "answer"),
    [
        (0.003, 0.005, "yes"),
        (0.003, 0.001, "no"),
        (0.003, 0.0, "no"),
        (0.0, 0.001, "yes"),
        (-0.003, 0.0, "yes"),
        (0.003, 0.003, "undecided"),
    ],
)
def test_the_margin_says_what_matches(below, margin, answer):
    truth = {DENSE: (0.95, 4_000), ("ticket", 1): (0.95 - below, 4_000)}
    found = verdict_on(study(truth), VerdictConfig(accuracy_margin=margin))
    assert found.metric_margin == margin
    assert answers(found, "matches_dense") == [answer]
    # The comparison has no margin.
    (comparison,) = found.comparisons
    assert (comparison.p <= 0.05) == (below != 0)
    assert found.answers.below_dense_from == {"ticket": place(1) if below > 0 else None}


def test_without_a_fresh_init_winning_is_not_tested_where_it_could_be():
    found = verdict_on(study(without("reinit")))
    assert answers(found, "beats_reinit") == ["not tested"] * 6
    assert answers(found, "winning") == ["not tested"] * 3 + ["no"] * 3
    assert found.answers.winning == []
    assert found.answers.sparsest_matching == place(4)
    assert found.answers.below_dense_from == {"shuffle": place(1), "ticket": place(5)}


# Studies that say little.


@pytest.mark.parametrize("num_replicates", [1, 2, 5])
def test_without_variation_few_replicates_leave_all_undecided(num_replicates):
    found = verdict_on(exact(TRUTH, num_replicates))
    assert found.num_replicates == num_replicates
    for level in found.levels:
        for finding in level[3:]:
            assert finding.answer == "undecided"
            assert math.isnan(finding.p) == (num_replicates == 1)
    for comparison in found.comparisons:
        assert not comparison.p <= 0.05
        assert not any(estimate.has_interval for estimate in comparison[4:8])
    for summary in found.summaries:
        assert not any(estimate.has_interval for estimate in summary[6:])
    none = intervals.Estimate(math.nan, math.nan, math.nan)
    best, fastest = found.answers.best, found.answers.fastest
    assert best.level == fastest.level == 2
    assert best.estimate.value == pytest.approx(0.007)
    assert fastest.estimate.value == pytest.approx(2)
    assert not best.estimate.has_interval
    assert str(best.estimate[1:]) == str(fastest.estimate[1:]) == str(none[1:])
    assert found.answers.sparsest_matching is None
    assert set(found.answers.below_dense_from.values()) == {None}
    assert found.answers.winning == []


def test_without_variation_many_replicates_decide():
    found = verdict_on(exact(TRUTH, 50))
    assert answers(found, "matches_dense") == ["yes"] * 4 + ["no"] * 2
    assert answers(found, "as_fast_as_dense") == ["yes"] * 3 + ["no", "yes", "no"]
    assert answers(found, "winning") == ["yes"] * 3 + ["no"] * 3


@pytest.mark.parametrize("num_replicates", [1, 5])
def test_the_dense_net_alone_has_no_verdict_yet(num_replicates):
    found = verdict_on(study({DENSE: TRUTH[DENSE]}, num_replicates))
    assert [(s.arm, s.level) for s in found.summaries] == [DENSE]
    assert found.comparisons == []
    assert found.levels == []
    assert found.answers == (None, None, None, {}, [], None, [])


def test_a_study_whose_controls_are_behind_is_judged_as_far_as_it_went():
    behind = {
        (arm, level): value
        for (arm, level), value in TRUTH.items()
        if level <= {"ticket": 4, "reinit": 2, "shuffle": 0}[arm]
    }
    found = verdict_on(study(behind))
    assert answers(found, "matches_dense") == ["yes"] * 4
    assert answers(found, "beats_reinit") == ["yes"] * 2 + ["not tested"] * 2
    assert answers(found, "winning") == ["yes"] * 2 + ["not tested", "no"]
    assert found.answers.winning == [place(1), place(2)]
    assert found.answers.below_dense_from == {"ticket": None, "reinit": place(2)}


def test_levels_are_corrected_for_those_that_are_asked():
    found = verdict_on(study(num_replicates=5, noise=0.004))
    for question, reference, null in (
        ("matches_dense", lambda _: DENSE, -MARGIN),
        ("beats_reinit", lambda level: ("reinit", level), 0.0),
    ):
        reached = outcomes(study(num_replicates=5, noise=0.004))
        p = intervals.holm(
            [
                intervals.p_value(
                    reached["ticket", level].early_stop_metric
                    - reached[reference(level)].early_stop_metric,
                    null,
                    (0.0, 1.0),
                )
                for level in range(1, 7)
            ]
        )
        for level, expected in zip(found.levels, p, strict=True):
            finding = getattr(level, question)
            if finding.answer != "no":  # that of a fresh init may be by the margin's
                assert finding.p == expected
                assert (finding.answer == "yes") == (expected <= 0.05)


# Family-wise error.


@pytest.mark.slow
def test_where_nothing_differs_few_studies_find_a_difference_at_any_level():
    arms = ("ticket", "reinit")
    nothing = {DENSE: (0.95, 4_000)} | {
        (arm, level): (0.95, 4_000) for level in range(1, 4) for arm in arms
    }
    num_studies, rng = 500, np.random.default_rng(0)
    asked = ("beats_reinit", "winning")
    found = dict.fromkeys([*asked, "best", "fastest"], 0)
    for _ in range(num_studies):
        told = judge(noisy(nothing, 5, 0.002, 0.25, rng), SETTINGS)
        for called in {(c.arm, c.reference) for c in told.comparisons if c.p <= 0.05}:
            found[called] = found.get(called, 0) + 1
        for question in asked:
            found[question] += "yes" in answers(told, question)
        for name, null in (("best", 0), ("fastest", 1)):
            estimate = getattr(told.answers, name).estimate
            found[name] += not estimate.low <= null <= estimate.high
    assert len(found) == 3 + len(asked) + 2
    assert max(found.values()) < 0.08 * num_studies
    assert min(found[arm, "dense"] for arm in arms) > 0


# JSON.


def types(value):
    if isinstance(value, dict):
        return {type(value), str}.union(*map(types, value.values()))
    if isinstance(value, list):
        return {list}.union(*map(types, value))
    return {type(value)}


def test_the_verdict_is_plain_json_whatever_the_order_of_the_runs():
    claims = (
        Claim(0.5, "speedup", 1.5, 1.1, None, "figure 4a"),
        Claim(0.01, "accuracy", 0.0, -math.inf, 0.1, "nowhere"),
    )
    settings = VerdictConfig(claims=claims)
    runs = study(num_replicates=5)
    found = as_json(verdict_on(runs, settings))
    assert list(found) == [
        *("accuracy_margin", "steps_margin", "is_rewound", "is_budget_short"),
        "num_replicates",
        *("summaries", "comparisons", "levels", "answers", "claims", "standings"),
    ]
    assert types(found) <= {dict, list, str, int, float, bool, type(None)}
    assert found["levels"][0]["matches_dense"]["answer"] == "yes"
    assert found["claims"][0]["claim"]["source"] == "figure 4a"
    assert found["claims"][1]["claim"]["low"] is None
    assert found["claims"][1]["estimate"] is None
    text = json.dumps(found)
    for seed in range(3):
        random.Random(seed).shuffle(runs)
        assert json.dumps(as_json(judge(runs, settings))) == text


def test_a_number_that_is_not_there_is_none():
    assert as_json(Finding("undecided")) == {
        "answer": "undecided",
        "p": None,
        "replicates": None,
    }
    choice = Choice(2, 0.25, intervals.Estimate(1.0, 0.0, math.inf))
    assert as_json(choice)["estimate"] == {"value": 1.0, "low": 0.0, "high": None}


def test_two_replicates_of_many_levels_that_vary_wildly_can_be_judged():
    levels = range(1, 20)
    runs = [make_run(*DENSE, r, EVERY * (1, 90)[r], 0.9 + r / 20) for r in (0, 1)]
    runs += [
        make_run("ticket", level, r, EVERY * (90, 1)[r], 0.95 - r / 20)
        for level in levels
        for r in (0, 1)
    ]
    found = verdict_on(runs)
    assert answers(found, "winning") == ["not tested"] * len(levels)
