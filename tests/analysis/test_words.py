import math

import numpy as np
import pytest
from support.studies import BUDGET, exact, make_run, noisy

from lth_jax.analysis import words
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.metric import ACCURACY
from lth_jax.analysis.outcomes import DENSE, early_stop
from lth_jax.analysis.verdict import judge
from lth_jax.config import Claim, VerdictConfig
from lth_jax.store.records import Curve

TRUTH = {
    DENSE: (0.950, 4_000),
    ("ticket", 1): (0.955, 3_000),
    ("ticket", 2): (0.957, 2_000),
    ("ticket", 3): (0.950, 6_000),
    ("ticket", 4): (0.952, 3_000),
    ("ticket", 5): (0.930, 6_000),
    ("reinit", 1): (0.950, 4_000),
    ("reinit", 2): (0.945, 5_000),
    ("reinit", 3): (0.944, 6_000),
    ("reinit", 4): (0.942, 6_000),
    ("reinit", 5): (0.940, 6_000),
    ("random", 1): (0.949, 6_000),
}


def verdict(truth=TRUTH, **settings):
    rng = np.random.default_rng(0)
    runs = noisy(truth, 60, noise=0.002, spread=0.2, rng=rng)
    return judge(runs, VerdictConfig(**settings))


def sentences(truth=TRUTH, **settings):
    return words.sentences(verdict(truth, **settings))


def only(*keys):
    return {key: value for key, value in TRUTH.items() if key in (DENSE, *keys)}


# Sentences.


def test_a_study_of_many_replicates_is_described_in_full():
    winning, matching, at_end, best, fastest, below = sentences()
    assert winning == (
        "There are winning tickets, at 50% to 25%, 6.25% of the weights: they match the"
        " dense net, learn no more slowly, and beat reinit, a fresh init of their mask."
        " The ticket is shown not to win at 12.5%, 3.12%."
    )
    assert matching == (
        "The sparsest ticket that matches the dense net (0.2 points below it at most)"
        " keeps 6.25% of the weights."
    )
    chosen = verdict().answers.best.estimate, verdict().answers.fastest.estimate
    of_levels = "(95% interval, widened for the choice among 5 levels)."
    assert best == (
        "The ticket is most accurate at 25%:"
        f" {ACCURACY.difference(chosen[0])} points from dense {of_levels}"
    )
    assert fastest == (
        "It learns fastest at 25%: its early stop comes"
        f" {words.times(chosen[1])} times sooner than the dense net's {of_levels}"
    )
    assert below == (
        "Going sparser, first shown to be below dense: ticket at 3.12%; random at 50%;"
        " reinit at 25%."
    )
    assert at_end == (
        "By accuracy at the end of training, the same ticket is the sparsest that matches"
        " dense, and the same tickets win."
    )


@pytest.mark.parametrize(
    ("final", "told"),
    [
        (
            {1: 0.955, 2: 0.957, 3: 0.950, 4: 0.940, 5: 0.930},
            "the sparsest that matches dense keeps 12.5%, and winning tickets are at 50%"
            " to 25%.",
        ),
        (dict.fromkeys(range(1, 6), 0.9), "no ticket is shown to match dense."),
        (
            {1: 0.94, 2: 0.94, 3: 0.951, 4: 0.94, 5: 0.93},
            "the sparsest that matches dense keeps 12.5%, and none is shown to win.",
        ),
        (
            {},
            "the same ticket is the sparsest that matches dense, and the same tickets"
            " win.",
        ),
    ],
)
def test_other_answers_at_the_end_of_training_are_told(final, told):
    truth = {key: accuracy for key, (accuracy, _) in TRUTH.items()}
    truth |= {("ticket", level): accuracy for level, accuracy in final.items()}
    found = judge(ending(truth), VerdictConfig())
    assert found.levels == verdict().levels  # nothing else changes
    (said,) = (x for x in words.sentences(found) if "end of training" in x)
    assert said.startswith(f"By accuracy at the end of training, {told}")
    assert found.answers.winning_at_end == verdict_at_stop(truth).answers.winning


def test_what_no_end_of_training_can_tell_is_left_out():
    final = {("ticket", 2): 0.93}
    untested = judge(ending(final, only(("ticket", 1), ("ticket", 2))), VerdictConfig())
    told = (
        "By accuracy at the end of training, the sparsest that matches dense keeps 50%."
    )
    assert told in words.sentences(untested)
    one = words.sentences(judge(exact(TRUTH), VerdictConfig()))
    assert not any("end of training" in sentence for sentence in one)


def ending(final, truth=TRUTH):
    """The noisy study, of which some nets end with another accuracy."""
    runs = noisy(truth, 60, 0.002, 0.2, np.random.default_rng(0))
    return [ended(run, final, truth) for run in runs]


def ended(run, final, truth):
    key = run.arm, run.level
    steps, values = run.curves["test", "accuracy"]
    step, _ = early_stop(run)
    values = values + (steps != step) * (final.get(key, truth[key][0]) - truth[key][0])
    return run._replace(curves={**run.curves, ("test", "accuracy"): Curve(steps, values)})


def verdict_at_stop(final):
    """The verdict on a study that has these accuracies at early stop."""
    return verdict({key: (final[key], step) for key, (_, step) in TRUTH.items()})


def test_the_margin_is_shown_in_points():
    for margin, told in ((0.005, "0.5 points"), (0.01, "1 points"), (0.0, "0 points")):
        assert f"({told} below it at most)" in sentences(accuracy_margin=margin)[1]


def test_no_winning_ticket_is_stated_plainly_if_none_is_possible():
    found = sentences(only(("ticket", 5), ("reinit", 5)))
    assert found[0] == (
        "No winning ticket is shown by 60 replicates. The ticket is shown not to win at"
        " 3.12%."
    )
    assert found[1] == (
        "The ticket is not shown to match the dense net (0.2 points below it at most) at"
        " any density."
    )
    assert found[2] == (
        "By accuracy at the end of training, no ticket is shown to match dense either."
    )
    assert found[5] == (
        "Going sparser, first shown to be below dense: ticket at 3.12%; reinit at 3.12%."
    )


def test_too_few_replicates_are_reported():
    runs = []
    for r, z in enumerate([-1, 0, 1]):
        dense = 0.95 + 0.003 * r
        runs.append(make_run(*DENSE, r, 4_000, dense))
        runs.append(make_run("ticket", 1, r, 4_000 + 500 * z, dense + 0.006 * z))
        runs.append(make_run("reinit", 1, r, 4_000, dense))
    assert words.sentences(judge(runs, VerdictConfig()))[0] == (
        "No winning ticket is shown by 3 replicates. Whether it wins is undecided at the"
        " one level with 3 replicates; about 38 might decide it."
    )


def test_nets_that_are_not_rewound_are_called_no_tickets():
    runs = noisy(TRUTH, 60, 0.002, 0.2, np.random.default_rng(0))
    found = words.sentences(judge(runs, VerdictConfig(), is_rewound=False))
    assert found[0] == (
        "No net here is a lottery ticket: each level continues from trained weights, and"
        " its steps are counted from there."
    )
    assert not any("fastest" in sentence or "winning" in sentence for sentence in found)


def test_both_winning_and_undecided_levels_are_reported():
    rng = np.random.default_rng(0)
    runs = noisy(only(("ticket", 2), ("reinit", 2)), 5, 0.001, 0.2, rng)
    tickets = [run for run in runs if run.arm == "ticket" and run.level == 2]
    for arm in ("ticket", "reinit"):  # the same
        runs += [run._replace(arm=arm, level=1, density=0.5) for run in tickets]
    found = words.sentences(judge(runs, VerdictConfig()))
    assert found[0] == (
        "There are winning tickets, at 25% of the weights: they match the dense net,"
        " learn no more slowly, and beat reinit, a fresh init of their mask."
        " Whether it wins is undecided at 1 of 2 levels with 5 replicates."
    )


@pytest.mark.parametrize(
    ("num_replicates", "shown"),
    [
        (1, "one replicate"),
        (5, "5 replicates"),
    ],
)
def test_without_variation_no_interval_is_shown(num_replicates, shown):
    told = judge(exact(TRUTH, num_replicates), VerdictConfig())
    assert words.sentences(told) == [
        f"No winning ticket is shown by {shown}. Whether it wins is undecided at all"
        f" levels with {shown}.",
        "The ticket is not shown to match the dense net (0.2 points below it at most) at"
        " any density.",
        *["By accuracy at the end of training, no ticket is shown to match dense either."]
        * (num_replicates > 1),
        "The ticket is most accurate at 25%: +0.70 points from dense.",
        "It learns fastest at 25%: its early stop comes 2.00 times sooner than the dense"
        " net's.",
        "No arm is shown to be below dense.",
    ]


def test_without_a_fresh_init_winning_was_not_tested():
    untested = (
        "Whether there is a winning ticket was not tested: this needs the arm 'reinit'."
    )
    tickets = [key for key in TRUTH if key[0] == "ticket"]
    assert sentences(only(*tickets))[0] == untested
    # Unless there is none, whatever a fresh init does.
    assert sentences(only(("ticket", 5)))[0] == (
        "No winning ticket is shown by 60 replicates. The ticket is shown not to win at"
        " 3.12%."
    )


def test_levels_that_a_fresh_init_has_not_reached_are_listed_apart():
    tickets = [key for key in TRUTH if key[0] == "ticket"]
    found = sentences(only(*tickets, ("reinit", 1), ("reinit", 2)))
    assert found[0] == (
        "There are winning tickets, at 50% to 25% of the weights: they match the dense"
        " net, learn no more slowly, and beat reinit, a fresh init of their mask. The"
        " ticket is shown not to win at 12.5%, 3.12%. At 1 of 5 levels the arm 'reinit'"
        " is still to run."
    )


def test_the_dense_net_alone_is_reported():
    assert sentences(only()) == [
        "Only the dense net has been trained so far: there is no ticket yet."
    ]


def test_one_level_is_not_chosen_among_several():
    found = sentences(only(("ticket", 1), ("reinit", 1)))
    assert not any("widened" in sentence for sentence in found)
    assert "at 50% of the weights" in found[0]


def test_early_stops_at_the_end_of_the_budget_are_reported():
    truth = dict(TRUTH)
    for key in (("ticket", 5), ("reinit", 4), ("reinit", 5)):
        truth[key] = (0.93, BUDGET)
    found = words.sentences(judge(exact(truth, 3), VerdictConfig()))
    assert found[-1] == (
        "Training was too short for these (most early stops are in its last tenth):"
        " reinit from 6.25% on; ticket from 3.12% on."
    )
    assert not any("short budget" in sentence for sentence in found)
    assert any("learns fastest at" in sentence for sentence in found)
    half = [make_run(*DENSE, r, (4_000, BUDGET)[r], 0.9) for r in (0, 1)]
    half += [run._replace(arm="ticket", level=1) for run in half]
    found = words.sentences(judge(half, VerdictConfig()))
    assert not any("budget" in sentence for sentence in found)


SHORT = [  # (dense, others): where they stop early, as shares of the budget
    (1.0, 0.3),
    (0.92, 0.3),  # the loss still falls, with noise
    (0.4, 1.0),
]


@pytest.mark.parametrize(("dense", "others"), SHORT)
def test_in_a_short_budget_no_speed_is_claimed_and_the_headline_says_so(dense, others):
    rng = np.random.default_rng(0)
    truth = {key: (accuracy, 3_000) for key, (accuracy, _) in TRUTH.items()}
    runs = noisy(truth, 60, noise=0.002, spread=0.2, rng=rng)
    share = {True: dense, False: others}
    runs = [
        make_run(
            run.arm,
            run.level,
            run.replicate,
            BUDGET * share[(run.arm, run.level) == DENSE] - 100 * (run.replicate % 2),
            early_stop(run)[1],
        )
        for run in runs
    ]
    claims = (
        Claim(0.5, "speedup", 2.0, 0.0, 99.0, "a"),
        Claim(0.5, "accuracy", 0.0, -1.0, 1.0, "b"),
    )
    told = judge(runs, VerdictConfig(claims=claims))
    found = words.sentences(told)
    assert told.is_budget_short
    assert told.answers.fastest is None
    assert found[0].startswith("In this short budget")
    assert found[1].startswith("Training was too short")
    assert ("dense net" in found[1]) == (dense > others)
    assert not any("slow" in sentence or "times" in sentence for sentence in found)
    (left_open,) = [sentence for sentence in found if "fastest" in sentence]
    assert left_open.startswith("Which net learns fastest is left open")
    assert [check.answer for check in told.claims] == ["undecided", "holds"]
    if told.answers.winning:
        assert "there are winning tickets" in found[0]


# Numbers.

MINUS = "\N{MINUS SIGN}"
NONE = math.nan, math.nan


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        ((0.0123, 0.01, 0.0146), "+1.23 [+1.00, +1.46]"),
        ((-0.002, -0.015, 0.011), f"{MINUS}0.20 [{MINUS}1.50, +1.10]"),
        ((0.0, -0.00004, 0.00004), "0.00 [0.00, 0.00]"),
        ((-0.00004, -0.00006, 0.00006), f"0.00 [{MINUS}0.01, +0.01]"),
        ((-0.0, *NONE), "0.00"),
        ((0.5, *NONE), "+50.00"),
    ],
)
def test_points(estimate, text):
    assert ACCURACY.difference(Estimate(*estimate)) == text


@pytest.mark.parametrize(
    ("show", "estimate", "text"),
    [
        (ACCURACY.text, (0.9812, 0.98, 0.9824), "98.12 ± 0.12"),
        (ACCURACY.text, (1.0, *NONE), "100.00"),
        (ACCURACY.text, (0.98, 0.97, 0.988), "98.00 ± 1.00"),
        (ACCURACY.text, (0.99, 0.97, 0.996), "99.00 [97.00, 99.60]"),
        (words.steps, (12_345.6, 12_000.0, 12_691.2), "12,346 ± 346"),
        (words.steps, (300.0, *NONE), "300"),
        (words.steps, (1_300.0, 100.4, 2_000.0), "1,300 [100, 2,000]"),
        (words.times, (1.456, 0.999, 2.0), "1.46 [1.00, 2.00]"),
        (words.times, (1.0, *NONE), "1.00"),
        (words.times, (1.0, 0.0, math.inf), "1.00 [0.00, inf]"),
    ],
)
def test_estimates(show, estimate, text):
    assert show(Estimate(*estimate)) == text


def test_single_values():
    assert words.value(-0.0123, ACCURACY.difference) == f"{MINUS}1.23"
    assert words.value(0.9876, ACCURACY.text) == "98.76"
    assert words.value(2_000, words.steps) == "2,000"


@pytest.mark.parametrize(
    ("density", "text"),
    [
        (1.0, "100%"),
        (0.5129, "51.3%"),
        (0.036, "3.6%"),
        (0.03518, "3.52%"),
        (0.001, "0.1%"),
    ],
)
def test_densities(density, text):
    assert words.percent(density) == text
