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
    assert answers(told, "slower_than_dense") == ["no"] * 3 + ["yes", "no", "yes"]
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


def test_decided_answers_are_significant_and_ask_for_no_more_replicates(told):
    for level in told.levels:
        for finding in level[3:]:
            assert finding.answer in ("yes", "no")
            assert finding.replicates_needed is None
            if finding.answer == "yes":
                assert finding.p <= 0.05
    for level in told.levels[:3]:
        assert level.winning.p == max(level.matches_dense.p, level.beats_reinit.p)


def test_the_chosen_estimates_are_widened_for_the_choice(told):
    found = outcomes(study())
    level = told.answers.best.level
    gain = found["ticket", level].early_stop_metric - found[DENSE].early_stop_metric
    assert told.answers.best.estimate == intervals.mean(gain, 1 - 0.05 / 6)
    level = told.answers.fastest.level
    steps = found[DENSE].early_stop_step, found["ticket", level].early_stop_step
    expected = intervals.ratio_of_means(*steps, 1 - 0.05 / 6)
    assert told.answers.fastest.estimate == expected


def test_few_noisy_replicates_leave_it_undecided_and_say_how_many_would_do():
    # Ticket minus dense is 0.002 and minus reinit 0.005, with a standard deviation of
    # 0.006 both in the sample and in the truth.
    runs = []
    for r, (z, other) in enumerate([(-1, 1), (0, -1), (1, 0)]):
        dense = 0.95 + 0.003 * r
        ticket = dense + 0.002 + 0.006 * z
        runs.append(make_run(*DENSE, r, 4_000, dense))
        runs.append(make_run("ticket", 1, r, 4_000 + 500 * z, ticket))
        runs.append(make_run("reinit", 1, r, 4_000, ticket - 0.005 - 0.006 * other))
    found = verdict_on(runs)
    (level,) = found.levels
    assert level.slower_than_dense.answer == "undecided"
    for finding in (level.matches_dense, level.beats_reinit, level.winning):
        assert finding.answer == "undecided"
        assert finding.p > 0.05
    assert abs(level.matches_dense.replicates_needed - 20) <= 1  # 20, by the noncentral t
    assert abs(level.beats_reinit.replicates_needed - 14) <= 1
    needed = level.winning.replicates_needed
    assert needed == level.matches_dense.replicates_needed
    assert level.winning.p == max(level.matches_dense.p, level.beats_reinit.p)
    assert found.answers.sparsest_matching is None
    assert found.answers.winning == []
    assert found.answers.below_dense_from == {"ticket": None, "reinit": None}
    # So many do tell, in about as many studies as they should.
    truth = {
        DENSE: (0.95, 4_000),
        ("ticket", 1): (0.952, 4_000),
        ("reinit", 1): (0.947, 4_000),
    }
    told = [
        verdict_on(study(truth, needed, noise=0.006, seed=seed)).levels[0]
        for seed in range(100)
    ]
    assert 70 <= sum(level.matches_dense.answer == "yes" for level in told) <= 90
    assert sum(level.winning.answer == "yes" for level in told) >= 60


@pytest.mark.parametrize("seed", range(5))
def test_what_is_undecided_takes_more_replicates_than_there_are(seed):
    found = verdict_on(study(num_replicates=4, noise=0.005, seed=seed))
    undecided = [
        f for level in found.levels for f in level[3:] if f.answer == "undecided"
    ]
    assert undecided
    for finding in undecided:
        assert not finding.p <= 0.05
        assert finding.replicates_needed is None or finding.replicates_needed > 4


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
    assert level.slower_than_dense.answer == "yes"
    assert level.winning.answer == "no"


def test_a_ticket_that_is_not_shown_to_be_slower_may_win():
    level = one_level((0.955, 4_000), (0.945, 6_000))
    assert level.slower_than_dense.answer == "undecided"
    assert level.winning.answer == "yes"


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
def test_without_variation_all_is_undecided(num_replicates):
    found = verdict_on(exact(TRUTH, num_replicates))
    assert found.num_replicates == num_replicates
    for level in found.levels:
        for finding in level[3:]:
            assert finding.answer == "undecided"
            assert math.isnan(finding.p)
            assert finding.replicates_needed is None
    for comparison in found.comparisons:
        assert math.isnan(comparison.p)
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


@pytest.mark.parametrize(
    ("ticket", "matches", "needed"), [(0.96, "yes", False), (0.950, "undecided", True)]
)
def test_a_question_without_p_leaves_winning_without_one(ticket, matches, needed):
    runs = study({DENSE: (0.95, 4_000), ("ticket", 1): (ticket, 3_000)}, 5, noise=0.004)
    runs += [  # the same below the ticket for every replicate
        make_run("reinit", 1, replicate, 4_000, round(accuracy - 0.01, 4))
        for replicate, accuracy in enumerate(
            outcomes(runs)["ticket", 1].early_stop_metric
        )
    ]
    (level,) = verdict_on(runs).levels
    assert level.matches_dense.answer == matches
    assert (level.matches_dense.replicates_needed is not None) == needed
    for finding in (level.beats_reinit, level.winning):
        assert finding.answer == "undecided"
        assert math.isnan(finding.p)
        assert finding.replicates_needed is None


@pytest.mark.parametrize("num_replicates", [1, 5])
def test_the_dense_net_alone_has_no_verdict_yet(num_replicates):
    found = verdict_on(study({DENSE: TRUTH[DENSE]}, num_replicates))
    assert [(s.arm, s.level) for s in found.summaries] == [DENSE]
    assert found.comparisons == []
    assert found.levels == []
    assert found.answers == (None, None, None, {}, [])


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
    asked = ("beats_reinit", "slower_than_dense", "winning")
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
        *("accuracy_margin", "num_replicates", "summaries", "comparisons", "levels"),
        *("answers", "claims", "standings"),
    ]
    assert types(found) <= {dict, list, str, int, float, type(None)}
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
        "replicates_needed": None,
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
