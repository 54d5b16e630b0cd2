"""Criteria side by side, in made-up studies whose truth is known."""

import numpy as np
import pytest
import scipy.stats
from support.standings import TRUTH, study
from support.studies import DENSITIES, exact, noisy

from lth_jax.analysis import words
from lth_jax.analysis.metric import ACCURACY
from lth_jax.analysis.outcomes import outcomes
from lth_jax.analysis.standings import RANDOM, standings
from lth_jax.analysis.verdict import as_json, judge
from lth_jax.config import VerdictConfig
from lth_jax.report.standings_table import as_text, standings_table

ORDER = ["ticket", "snip", "grasp", RANDOM, "small_final"]


def answers(found):
    return {s.arm: [score.answer for score in s.scores] for s in found}


def test_with_many_replicates_the_truth_is_found():
    found = standings(outcomes(study()))
    assert answers(found) == {
        "ticket": ["yes", "yes"],
        "snip": ["yes", "yes"],
        "grasp": ["undecided", "undecided"],
        RANDOM: ["not tested", "not tested"],
        "small_final": ["no", "no"],
    }
    for standing in found:
        for score, level in zip(standing.scores, (1, 2), strict=True):
            truth = TRUTH[standing.arm, level][0]
            assert (score.level, score.density) == (level, DENSITIES[level])
            assert score.metric.value == pytest.approx(truth, abs=0.002)


def test_the_best_mean_comes_first_and_controls_are_no_criteria():
    found = standings(outcomes(exact(TRUTH)))
    assert [s.arm for s in found][:2] == ["ticket", "snip"]
    assert sorted(s.arm for s in found) == sorted(ORDER)
    for s in found:
        mean = np.mean([TRUTH[s.arm, level][0] for level in (1, 2)])
        assert s.mean_metric == pytest.approx(mean)


def test_a_criterion_without_its_sparse_levels_yet_is_not_the_better_for_it():
    truth = {key: value for key, value in TRUTH.items() if key != ("grasp", 2)}
    truth["ticket", 2] = (0.5, 3_000)
    found = standings(outcomes(exact(truth)))
    assert [s.arm for s in found][:2] == ["ticket", "snip"]
    assert found[0].mean_metric == pytest.approx(TRUTH["ticket", 1][0])
    assert len(found[0].scores) == 2


def test_answers_are_of_paired_tests_corrected_for_criteria_and_levels():
    runs = study(num_replicates=6)
    found = outcomes(runs)
    p = {
        (arm, level): scipy.stats.ttest_rel(
            found[arm, level].early_stop_metric,
            found[RANDOM, level].early_stop_metric,
        ).pvalue
        for arm in ("ticket", "snip", "grasp", "small_final")
        for level in (1, 2)
    }
    ordered, least = sorted(p, key=p.get), 0.0
    adjusted = {}
    for rank, key in enumerate(ordered):  # Holm's steps down, one by one
        least = max(least, min(1.0, p[key] * (len(ordered) - rank)))
        adjusted[key] = least
    got = {(s.arm, x.level): x.p for s in standings(found) for x in s.scores}
    for key, value in adjusted.items():
        assert got[key] == pytest.approx(value)
    assert np.isnan(got[RANDOM, 1])


def test_where_all_prune_at_random_few_studies_find_a_difference():
    truth = {key: (0.9, 3_000) for key in TRUTH}
    rng = np.random.default_rng(1)
    told = 0
    for _ in range(200):
        found = standings(outcomes(noisy(truth, 5, 0.004, 0.25, rng)))
        told += any(a in ("yes", "no") for each in answers(found).values() for a in each)
    assert told <= scipy.stats.binom.ppf(0.999, 200, 0.05)


def test_without_random_pruning_nothing_is_tested():
    truth = {key: value for key, value in TRUTH.items() if key[0] != RANDOM}
    verdict = judge(study(truth=truth), VerdictConfig())
    assert {a for each in answers(verdict.standings).values() for a in each} == {
        "not tested"
    }
    (sentence,) = [s for s in words.sentences(verdict) if "criteria" in s]
    assert "random" not in sentence


def test_a_study_of_one_criterion_has_no_standings():
    truth = {k: v for k, v in TRUTH.items() if k[0] in ("ticket", "reinit")}
    verdict = judge(study(truth=truth), VerdictConfig())
    assert verdict.standings == []
    assert as_json(verdict)["standings"] == []
    assert not any("criteria" in s for s in words.sentences(verdict))


def test_the_sentence_counts_at_the_sparsest_level():
    sentences = words.sentences(judge(study(), VerdictConfig()))
    (sentence,) = [s for s in sentences if s.startswith("Of 5 criteria")]
    assert "snip has the highest mean accuracy at 25% of the weights: 94." in sentence
    assert "shown to be above random pruning: 2; below it: 1; undecided: 1." in sentence
    (below,) = [s for s in sentences if s.startswith("Going sparser")]
    assert "snip" not in below and "reinit" in below


def test_a_level_under_way_leaves_its_cells_empty():
    runs = [r for r in study() if (r.arm, r.level) not in (("snip", 2), ("grasp", 2))]
    verdict = judge(runs, VerdictConfig())
    table = standings_table(verdict, "magnitude")
    row = {row[0].text: [cell.text for cell in row] for row in table.rows}
    assert row["snip"][3] == "" and row["small_final"][3] != ""
    (sentence,) = [s for s in words.sentences(verdict) if "criteria" in s]
    assert "at 50% of the weights" in sentence


def test_the_table_has_the_numbers_and_says_what_is_shown():
    table = standings_table(judge(study(), VerdictConfig()), "magnitude")
    assert table.heads == ["criterion", "looks at", "50%", "25%"]
    by_name = {row[0].text: row for row in table.rows}
    assert next(iter(by_name)) == "magnitude (the ticket)"
    looks = {name: row[1].text for name, row in by_name.items()}
    assert looks["snip"] == "init" and looks[RANDOM] == "nothing"
    assert looks["magnitude (the ticket)"] == "trained net"
    assert [cell.kind for cell in by_name["small_final"][2:]] == ["no", "no"]
    assert by_name["snip"][3].text.startswith("94.0")
    lines = {line.split()[0]: line for line in as_text(table, ACCURACY) if line}
    assert lines["snip"].endswith(" +") and lines["small_final"].endswith(" -")
    assert not lines[RANDOM].endswith(("+", "-"))
