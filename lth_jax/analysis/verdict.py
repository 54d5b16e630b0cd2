"""Verdict: whether the tickets win, and at which densities, from records alone."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lth_jax.analysis import intervals
from lth_jax.analysis.claims import ClaimCheck, check_claims
from lth_jax.analysis.comparison import Comparison, Pair, all_comparisons, pairs
from lth_jax.analysis.intervals import CONFIDENCE, Estimate
from lth_jax.analysis.metric import ACCURACY, Metric, metric_of
from lth_jax.analysis.outcomes import Outcome, Outcomes, outcomes
from lth_jax.analysis.standings import Standing, standings
from lth_jax.analysis.summary import Summary, summarize
from lth_jax.config import Claim, VerdictConfig
from lth_jax.store.records import Run

_ALPHA = 1 - CONFIDENCE


class Finding(NamedTuple):
    """The answer to a question about one level.

    Attributes:
      answer: "yes", "no", "undecided" (too few replicates to tell), or "not tested".
      p: two-sided, adjusted for the number of levels at which it is asked; NaN if none.
      replicates_needed: where undecided, about how many would tell, if this many's
        means and variation are the truth (80% power); None if more than a thousand, or
        nothing can be said.
    """

    answer: str
    p: float = math.nan
    replicates_needed: int | None = None


class LevelVerdict(NamedTuple):
    """What is known of the ticket at one level after the first.

    Attributes:
      level, density, weights_left: of the ticket.
      matches_dense: is it at early stop at most the margin worse than dense?
      beats_reinit: is it better than a fresh init of the same mask? "no" where that is
        not shown, but is shown not to be so by as much as the margin.
      slower_than_dense: is its early stop later?
      winning: a winning ticket (Frankle & Carbin 2019, section 1): it matches dense,
        beats a fresh init, and was not shown to be slower.
    """

    level: int
    density: float
    weights_left: int
    matches_dense: Finding
    beats_reinit: Finding
    slower_than_dense: Finding
    winning: Finding


class Choice(NamedTuple):
    """The level that is best in some way, chosen by looking at all of them.

    `estimate` has an interval widened for that (Bonferroni over the levels).
    """

    level: int
    density: float
    estimate: Estimate


class Place(NamedTuple):
    """A level and its density."""

    level: int
    density: float


class Answers(NamedTuple):
    """The study in five answers; None where the data do not show one.

    Attributes:
      sparsest_matching: the smallest density at which the ticket matches dense.
      best: where its gain over dense at early stop is largest; its estimate is the
        difference, ticket minus dense.
      fastest: where its early stop is earliest, by the ratio of means to dense.
      below_dense_from: for each arm, the largest density at which it is worse than dense.
      winning: where it is a winning ticket.
    """

    sparsest_matching: Place | None
    best: Choice | None
    fastest: Choice | None
    below_dense_from: dict[str, Place | None]
    winning: list[Place]


class Verdict(NamedTuple):
    """All that a study says.

    Attributes:
      metric: what it is judged by.
      metric_margin: how much worse than dense still matches it.
      num_replicates: of every arm and level.
      summaries: means of each arm at each level, by level.
      comparisons: of arms, by arm, reference and level.
      levels: of the ticket, from level 1.
      answers: for short.
      claims: the config's, checked.
      standings: of the criteria, the best first, where the study compares some.
    """

    metric: Metric
    metric_margin: float
    num_replicates: int
    summaries: list[Summary]
    comparisons: list[Comparison]
    levels: list[LevelVerdict]
    answers: Answers
    claims: list[ClaimCheck]
    standings: list[Standing]


def judge(runs: Sequence[Run], settings: VerdictConfig) -> Verdict:
    """The verdict on a study, or on so much of it as has run.

    Args:
      runs: as `records.read` gives them; of every arm and level the same replicates.
      settings: margin and claims.
    """
    found = outcomes(runs)
    metric = metric_of(runs)
    margin = metric.margin(settings)
    comparisons = all_comparisons(found)
    levels = _levels(found, margin)
    return Verdict(
        metric=metric,
        metric_margin=margin,
        num_replicates=len({run.replicate for run in runs}),
        summaries=[summarize(outcome) for outcome in found.values()],
        comparisons=comparisons,
        levels=levels,
        answers=_answers(found, comparisons, levels, metric),
        claims=check_claims(settings.claims, found),
        standings=standings(found),
    )


def as_json(value: Any, metric: str = ACCURACY.name) -> Any:
    """A verdict as plain dicts and lists; a number that is NaN or infinite is None.

    Keys name its metric, such as "early_stop_loss" for `early_stop_metric`.
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


# Level by level.


def _levels(found: Outcomes, margin: float) -> list[LevelVerdict]:
    against_dense = pairs(found, "ticket", "dense")
    against_reinit = pairs(found, "ticket", "reinit")
    matches = _ask(against_dense, lambda pair: pair.gain, -margin)
    beats = _ask_beats(against_reinit, margin)
    slower = _ask(against_dense, lambda pair: -pair.log_speedup, 0.0)
    levels = []
    for pair in against_dense:
        level = pair.arm.level
        reinit = beats.get(level, Finding("not tested"))
        levels.append(
            LevelVerdict(
                level=level,
                density=pair.arm.density,
                weights_left=pair.arm.weights_left,
                matches_dense=matches[level],
                beats_reinit=reinit,
                slower_than_dense=slower[level],
                winning=_winning(matches[level], reinit, slower[level]),
            )
        )
    return levels


def _ask(
    asked: Sequence[Pair], measure: Callable[[Pair], np.ndarray], null: float
) -> dict[int, Finding]:
    """At each level: is the mean above `null`? Holm's correction over the levels."""
    values = {pair.arm.level: measure(pair) for pair in asked}
    adjusted = intervals.holm([intervals.p_value(v, null) for v in values.values()])
    findings = {}
    for (level, v), p in zip(values.items(), adjusted, strict=True):
        if p <= _ALPHA:
            findings[level] = Finding("yes" if v.mean() > null else "no", p)
        else:
            needed = intervals.replicates_needed(v, null, _ALPHA / len(values))
            findings[level] = Finding("undecided", p, needed)
    return findings


def _ask_beats(asked: Sequence[Pair], margin: float) -> dict[int, Finding]:
    """Above a fresh init; "no" where it is shown not to be so by the margin."""
    above = _ask(asked, lambda pair: pair.gain, 0.0)
    above_margin = _ask(asked, lambda pair: pair.gain, margin)
    return {
        level: above_margin[level]
        if finding.answer == "undecided" and above_margin[level].answer == "no"
        else finding
        for level, finding in above.items()
    }


def _winning(matches: Finding, beats: Finding, slower: Finding) -> Finding:
    answers = matches.answer, beats.answer
    p = float(np.maximum(matches.p, beats.p))  # both must hold; NaN if one is
    if "no" in answers or slower.answer == "yes":
        return Finding("no")
    if "not tested" in answers:
        return Finding("not tested")
    if answers == ("yes", "yes"):
        return Finding("yes", p)
    open_findings = [f for f in (matches, beats) if f.answer == "undecided"]
    needed = [f.replicates_needed for f in open_findings if f.replicates_needed]
    all_known = len(needed) == len(open_findings)
    return Finding("undecided", p, max(needed) if all_known else None)


# The study for short.


def _answers(
    found: Outcomes,
    comparisons: Sequence[Comparison],
    levels: Sequence[LevelVerdict],
    metric: Metric,
) -> Answers:
    tickets = pairs(found, "ticket", "dense")
    confidence = 1 - _ALPHA / max(1, len(tickets))  # Bonferroni's
    best = max(tickets, key=lambda pair: pair.gain.mean(), default=None)
    fastest = max(tickets, key=lambda pair: pair.speedup().value, default=None)
    below: dict[str, Place | None] = {}
    for c in comparisons:
        if c.reference == "dense":
            place = below.setdefault(c.arm, None)
            gain = metric.sign * c.early_stop_difference.value
            if place is None and c.p <= _ALPHA and gain < 0:
                below[c.arm] = Place(c.level, c.density)
    matching = [level for level in levels if level.matches_dense.answer == "yes"]
    return Answers(
        sparsest_matching=_place(min(matching, key=lambda x: x.density, default=None)),
        best=best and _choice(best.arm, intervals.mean(best.difference, confidence)),
        fastest=fastest and _choice(fastest.arm, fastest.speedup(confidence)),
        below_dense_from=below,
        winning=[Place(x.level, x.density) for x in levels if x.winning.answer == "yes"],
    )


def _place(level: LevelVerdict | None) -> Place | None:
    return level and Place(level.level, level.density)


def _choice(outcome: Outcome, estimate: Estimate) -> Choice:
    return Choice(outcome.level, outcome.density, estimate)
