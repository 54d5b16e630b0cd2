"""Verdict: whether the tickets win, and at which densities, from records alone."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lth_jax.analysis import intervals
from lth_jax.analysis.claims import ClaimCheck, check_claims
from lth_jax.analysis.comparison import Comparison, Pair, all_comparisons, pairs
from lth_jax.analysis.intervals import ALPHA, UNBOUNDED, Bounds, Estimate
from lth_jax.analysis.metric import ACCURACY, Metric, metric_of
from lth_jax.analysis.outcomes import DENSE, Outcomes, Summary, outcomes, summarize
from lth_jax.analysis.standings import Standing, standings
from lth_jax.config import Claim, VerdictConfig
from lth_jax.lottery.arms import reported_arm
from lth_jax.store.correct import Correct
from lth_jax.store.records import Run


class Finding(NamedTuple):
    """The answer to a question about one level."""

    answer: str  # "yes", "no", "undecided" (too few replicates), or "not tested"
    p: float = math.nan  # two-sided, adjusted for the number of levels; NaN if none
    # How many replicates would decide an undecided answer if mean and spread stayed the
    # same (at most `intervals.MOST_TO_TELL`); None if that is unknown.
    replicates: int | None = None


class LevelVerdict(NamedTuple):
    """What is known about the ticket at one level after the first.

    A winning ticket (Frankle & Carbin 2019, section 1) is rewound and matches dense. It
    beats random reinitialisation under its mask, and learns no more slowly than dense.
    """

    level: int
    density: float
    weights_left: int
    matches_dense: Finding  # at early stop, is it at most the margin worse?
    # Is it better than random reinitialisation under its mask? The answer is "no" if the
    # gain is shown to be below the margin.
    beats_reinit: Finding
    as_fast_as_dense: Finding  # is its early stop at most `steps_margin` later?
    winning: Finding


class Choice(NamedTuple):
    """The best of several levels, its interval widened for the choice (Bonferroni)."""

    level: int
    density: float
    estimate: Estimate
    two_way: Estimate = intervals.NONE  # as if the test examples were drawn anew too


class Place(NamedTuple):
    """A level and its density."""

    level: int
    density: float


class Answers(NamedTuple):
    """The study in five answers; None where the data do not show one."""

    sparsest_matching: Place | None  # the smallest density at which it matches dense
    best: Choice | None  # the largest gain over dense at early stop; ticket minus dense
    # The largest speedup over dense, a ratio of means; None if the budget is short.
    fastest: Choice | None
    below_dense_from: dict[str, Place | None]  # by arm, the first level below dense
    winning: list[Place]  # the levels with a winning ticket
    # The same by the metric at the end of training, in place of that at early stop.
    sparsest_matching_at_end: Place | None
    winning_at_end: list[Place]


class Verdict(NamedTuple):
    """All findings of a study."""

    metric: Metric  # the metric that judges it
    metric_margin: float  # how much worse than dense still counts as a match
    steps_margin: float  # the share of extra steps that still counts as no slower
    is_rewound: bool  # if not, levels continue from trained weights; none is a ticket
    is_budget_short: bool  # it cuts short most early stops, or those of the dense nets
    num_replicates: int  # of every arm and level
    summaries: list[Summary]  # by level and arm
    comparisons: list[Comparison]  # by arm, reference and level
    levels: list[LevelVerdict]  # of the ticket, from level 1
    answers: Answers
    claims: list[ClaimCheck]  # those of the config
    standings: list[Standing]  # best first; empty unless the study compares criteria

    def __str__(self) -> str:
        """Returns the verdict in sentences, a line each."""
        from lth_jax.analysis import words  # which describes verdicts

        return "\n".join(words.sentences(self))

    def __repr__(self) -> str:
        """The same: it is what a notebook shows."""
        return str(self)


def judge(
    runs: Sequence[Run],
    settings: VerdictConfig,
    *,
    is_rewound: bool = True,
    correct: Mapping[tuple[str, int], Correct] | None = None,
) -> Verdict:
    """Returns the verdict on a study, or on the part of it that has run.

    `runs` are those that `records.read` returns, with the same replicates for every arm
    and level. `correct` is what `correct.read` returns. It changes no answer, since all
    answers are for this test set. It shows how far estimates would vary with other test
    examples.
    """
    found, metric = outcomes(runs, correct), metric_of(runs)
    margin = _margin(settings, found)
    comparisons = all_comparisons(found)
    levels, at_end = (
        _levels(x, margin, settings.steps_margin, is_rewound)
        for x in (found, _at_the_end(found))
    )
    answers = _answers(found, comparisons, levels, at_end)
    is_short = _is_budget_short(found)
    return Verdict(
        metric=metric,
        metric_margin=margin,
        steps_margin=settings.steps_margin,
        is_rewound=is_rewound,
        is_budget_short=is_short,
        num_replicates=len({run.replicate for run in runs}),
        summaries=[summarize(outcome) for outcome in found.values()],
        comparisons=comparisons,
        levels=levels,
        answers=answers._replace(fastest=None) if is_short else answers,
        claims=check_claims(settings.claims, found),
        standings=standings(found),
    )


def _margin(settings: VerdictConfig, found: Outcomes) -> float:
    """Returns how much worse than the dense net still counts as a match."""
    dense = found[DENSE]
    if dense.metric.name == ACCURACY.name:
        return settings.accuracy_margin
    return settings.loss_margin * abs(float(np.mean(dense.early_stop_metric)))


def _is_budget_short(found: Outcomes) -> bool:
    """Returns whether the budget cuts short most early stops, or the dense nets'."""
    arms = [x for x in found.values() if not reported_arm(x.arm).is_criterion]
    late = sum(x.num_still_improving for x in arms)
    stops = sum(len(x.early_stop_step) for x in arms)
    return found[DENSE].is_cut_short or 2 * late > stops


def _at_the_end(found: Outcomes) -> Outcomes:
    """Returns outcomes whose metric is that at the end of training."""
    return {key: x._replace(early_stop_metric=x.final_metric) for key, x in found.items()}


def as_json(value: Any, metric: str = ACCURACY.name) -> Any:
    """Returns a verdict as plain dicts and lists; NaN and infinity become None.

    The keys name its metric, such as "early_stop_loss" for `early_stop_metric`.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if hasattr(value, "_asdict"):
        fields = value._asdict()
        if isinstance(value, Verdict):
            metric = fields.pop("metric").name
        value = {key.replace("metric", metric): x for key, x in fields.items()}
    if isinstance(value, Claim):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {key: as_json(x, metric) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(x, metric) for x in value]
    return value


def _levels(
    found: Outcomes, margin: float, steps_margin: float, is_rewound: bool
) -> list[LevelVerdict]:
    dense = pairs(found, "ticket", "dense")
    gains = {x.arm.level: x.gain for x in dense}
    faster_by = {x.arm.level: intervals.log_ratio_of_means(*x.steps) for x in dense}
    over_reinit = {x.arm.level: x.gain for x in pairs(found, "ticket", "reinit")}
    bounds = found[DENSE].metric.bounds
    matches = _ask(gains, -margin, bounds)
    as_fast = _ask(faster_by, -math.log1p(steps_margin), UNBOUNDED)
    beats = _ask_beats(over_reinit, margin, bounds)
    levels = []
    for ticket, _ in dense:
        level, reinit = ticket.level, beats.get(ticket.level, Finding("not tested"))
        findings = matches[level], reinit, as_fast[level]
        place = level, ticket.density, ticket.weights_left
        winning = _winning(*findings) if is_rewound else Finding("not tested")
        levels.append(LevelVerdict(*place, *findings, winning=winning))
    return levels


def _ask(
    values: Mapping[int, np.ndarray], null: float, bounds: Bounds
) -> dict[int, Finding]:
    """Tests at each level if the mean is above `null`, with Holm's correction."""
    adjusted = intervals.adjusted_p_values(values.values(), null, bounds)
    findings = {}
    for (level, v), p in zip(values.items(), adjusted, strict=True):
        if p <= ALPHA:
            findings[level] = Finding("yes" if v.mean() > null else "no", p)
        else:
            needed = intervals.replicates_to_tell(v, null, len(values), bounds)
            findings[level] = Finding("undecided", p, needed)
    return findings


def _ask_beats(
    gains: Mapping[int, np.ndarray], margin: float, bounds: Bounds
) -> dict[int, Finding]:
    """Tests if the gain over reinit is above 0; "no" if shown to be below the margin."""
    above, by_margin = _ask(gains, 0.0, bounds), _ask(gains, margin, bounds)
    for level, finding in above.items():
        other = by_margin[level]
        if finding.answer == "undecided" and other.answer == "no":
            above[level] = other
        elif finding.replicates and other.replicates:  # either answer suffices
            fewest = min(finding.replicates, other.replicates)
            above[level] = finding._replace(replicates=fewest)
    return above


def _winning(matches: Finding, beats: Finding, as_fast: Finding) -> Finding:
    answers = matches.answer, beats.answer, as_fast.answer
    if "no" in answers:
        return Finding("no")
    if "not tested" in answers:
        return Finding("not tested")
    p = float(np.max([matches.p, beats.p, as_fast.p]))  # all must hold; NaN if one is
    if "undecided" not in answers:
        return Finding("yes", p)
    open_ones = [x for x in (matches, beats, as_fast) if x.answer == "undecided"]
    needed = [x.replicates for x in open_ones if x.replicates is not None]
    are_known = len(needed) == len(open_ones)
    return Finding("undecided", p, max(needed) if are_known else None)


def _answers(
    found: Outcomes,
    comparisons: Sequence[Comparison],
    levels: Sequence[LevelVerdict],
    at_end: Sequence[LevelVerdict],
) -> Answers:
    tickets, sign = pairs(found, "ticket", "dense"), found[DENSE].metric.sign
    confidence = 1 - ALPHA / max(1, len(tickets))  # Bonferroni
    best = max(tickets, key=lambda pair: pair.gain.mean(), default=None)
    fastest = max(tickets, key=lambda pair: pair.speedup().value, default=None)
    against_dense = [c for c in comparisons if c.reference == "dense"]
    below: dict[str, Place | None] = {c.arm: None for c in against_dense}
    for c in reversed(against_dense):
        if c.p <= ALPHA and sign * c.early_stop_difference.value < 0:
            below[c.arm] = _place(c)
    return Answers(
        sparsest_matching=_sparsest_matching(levels),
        best=best
        and _choice(best, best.mean_difference(confidence=confidence))._replace(
            two_way=best.two_way(confidence=confidence)
        ),
        fastest=fastest and _choice(fastest, fastest.speedup(confidence)),
        below_dense_from=below,
        winning=_winners(levels),
        sparsest_matching_at_end=_sparsest_matching(at_end),
        winning_at_end=_winners(at_end),
    )


def _sparsest_matching(levels: Sequence[LevelVerdict]) -> Place | None:
    matching = [x for x in levels if x.matches_dense.answer == "yes"]
    return min(map(_place, matching), key=lambda place: place.density, default=None)


def _winners(levels: Sequence[LevelVerdict]) -> list[Place]:
    return [_place(x) for x in levels if x.winning.answer == "yes"]


def _place(found: LevelVerdict | Comparison) -> Place:
    return Place(found.level, found.density)


def _choice(pair: Pair, estimate: Estimate) -> Choice:
    return Choice(pair.arm.level, pair.arm.density, estimate)
