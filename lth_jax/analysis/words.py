"""Words: a verdict in sentences, each of which the records support."""

import math
from collections.abc import Callable, Sequence

from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.metric import ACCURACY, Metric
from lth_jax.analysis.standings import Standing
from lth_jax.analysis.verdict import Choice, LevelVerdict, Place, Verdict
from lth_jax.lottery.arms import reported_arm


def sentences(verdict: Verdict) -> list[str]:
    """The verdict for a reader in a hurry, the most important first."""
    if not verdict.levels:
        return ["Only the dense net has been trained so far: there is no ticket yet."]
    answers = verdict.answers
    found = [
        _winning(verdict),
        _matching(verdict, answers.sparsest_matching),
        _best(answers.best, verdict),
        _fastest(answers.fastest, len(verdict.levels)),
        _criteria(verdict.standings, verdict.metric),
        _below(answers.below_dense_from, verdict.metric),
        _still_improving(verdict),
    ]
    return [sentence for sentence in found if sentence]


def percent(density: float) -> str:
    """A density for a reader."""
    return f"{100 * density:.3g}%"


def steps(estimate: Estimate) -> str:
    """A number of steps, with half of its interval."""
    value = f"{estimate.value:,.0f}"
    if not estimate.has_interval:
        return value
    return f"{value} ± {estimate.half_width:,.0f}"


def times(estimate: Estimate) -> str:
    """A ratio, with its interval."""
    value = f"{estimate.value:.2f}"
    if not estimate.has_interval:
        return value
    return f"{value} [{estimate.low:.2f}, {estimate.high:.2f}]"


def value(number: float, show: Callable[[Estimate], str]) -> str:
    """A number as one of these functions shows an estimate without interval."""
    return show(Estimate(number, math.nan, math.nan))


def _winning(verdict: Verdict) -> str:
    by_answer: dict[str, list[LevelVerdict]] = {}
    for level in verdict.levels:
        by_answer.setdefault(level.winning.answer, []).append(level)
    yes = by_answer.get("yes", [])
    undecided = by_answer.get("undecided", [])
    untested = by_answer.get("not tested", [])
    if untested and all(x.beats_reinit.answer == "not tested" for x in verdict.levels):
        return (
            "Whether there is a winning ticket was not tested: that takes the arm"
            " 'reinit'."
        )
    if yes:
        found = (
            f"There are winning tickets, at {_densities(yes)} of the weights: they match"
            " the dense net and beat a fresh init of their mask."
        )
    else:
        found = f"No winning ticket is shown by {_replicates(verdict.num_replicates)}."
    sentences = found, _undecided(undecided, verdict), _untested(untested, verdict)
    return " ".join(filter(None, sentences))


def _undecided(levels: Sequence[LevelVerdict], verdict: Verdict) -> str:
    if not levels:
        return ""
    which = _which(levels, verdict)
    needed = [n for n in (x.winning.replicates_needed for x in levels) if n]
    if not needed:
        return f"At {which} there are too few replicates to tell."
    least, most = min(needed), max(needed)
    about = f"{least}" if least == most else f"{least} to {most}"
    return (
        f"At {which} there are too few replicates to tell; about {about} would, were"
        " these differences the true ones."
    )


def _untested(levels: Sequence[LevelVerdict], verdict: Verdict) -> str:
    """The fresh init is trained beside the ticket at every level, but may be behind."""
    if not levels:
        return ""
    return f"At {_which(levels, verdict)} the arm 'reinit' is still to run."


def _which(levels: Sequence[LevelVerdict], verdict: Verdict) -> str:
    if len(levels) == len(verdict.levels):
        return "all levels"
    return f"{len(levels)} of {len(verdict.levels)} levels"


def _matching(verdict: Verdict, place: Place | None) -> str:
    metric = verdict.metric
    side = "below" if metric.sign > 0 else "above"
    margin = f"{metric.scale * verdict.metric_margin:g}{metric.points} {side} it at most"
    if place is None:
        return (
            f"The ticket is not shown to match the dense net ({margin}) at any density."
        )
    return (
        f"The sparsest ticket that matches the dense net ({margin}) keeps"
        f" {percent(place.density)} of the weights."
    )


def _best(best: Choice | None, verdict: Verdict) -> str:
    if best is None:
        return ""
    metric = verdict.metric
    leads = "is most accurate" if metric is ACCURACY else f"has the least {metric.name}"
    return (
        f"It {leads} at {percent(best.density)}: {metric.difference(best.estimate)}"
        f"{metric.points} from dense{_chosen(best.estimate, len(verdict.levels))}."
    )


def _fastest(fastest: Choice | None, num_levels: int) -> str:
    if fastest is None:
        return ""
    return (
        f"It learns fastest at {percent(fastest.density)}: the dense net's early stop"
        f" takes {times(fastest.estimate)} times as many steps"
        f"{_chosen(fastest.estimate, num_levels)}."
    )


def _chosen(estimate: Estimate, num_levels: int) -> str:
    """What a reader must know of an interval of the best among several."""
    if not estimate.has_interval or num_levels == 1:
        return ""
    return f" (95% interval, widened for the choice among {num_levels} levels)"


def _criteria(standings: Sequence[Standing], metric: Metric) -> str:
    """Which criteria beat random pruning at the sparsest level that all have."""
    if not standings:
        return ""
    last = min(len(standing.scores) for standing in standings) - 1
    scores = {standing.arm: standing.scores[last] for standing in standings}
    best = max(scores, key=lambda arm: metric.sign * scores[arm].metric.value)
    most = "highest" if metric.sign > 0 else "least"
    found = (
        f"Of {len(scores)} criteria, the ticket's among them, {_criterion(best)} has the"
        f" {most} mean {metric.name} at {percent(scores[best].density)} of the weights."
    )
    if all(score.answer == "not tested" for score in scores.values()):
        return found
    counts = {
        answer: sum(score.answer == answer for score in scores.values())
        for answer in ("yes", "no", "undecided")
    }
    return (
        f"{found} Shown to be {metric.better} random pruning there: {counts['yes']};"
        f" {metric.worse} it: {counts['no']}; undecided: {counts['undecided']}."
    )


def _criterion(arm: str) -> str:
    return "the ticket's" if arm == "ticket" else arm


def _below(below: dict[str, Place | None], metric: Metric) -> str:
    parts = [
        f"{reported_arm(arm).sentence} first at {percent(place.density)}"
        if place
        else f"{reported_arm(arm).sentence} at no density"
        for arm, place in below.items()
        if not reported_arm(arm).is_criterion
    ]
    return f"Shown to be {metric.worse} dense: {'; '.join(parts)}."


def _still_improving(verdict: Verdict) -> str:
    """Early stops that the budget cut short."""
    cut = [s for s in verdict.summaries if 2 * s.num_still_improving > s.num_replicates]
    if not cut:
        return ""
    arms: dict[str, list[float]] = {}
    for summary in cut:
        arms.setdefault(summary.arm, []).append(summary.density)
    others = [max(arms.pop(arm)) for arm in list(arms) if reported_arm(arm).is_criterion]
    parts = [f"{arm} from {percent(max(d))} on" for arm, d in arms.items()]
    if others:
        parts.append(f"{len(others)} other criteria, some from {percent(max(others))} on")
    return (
        "Most early stops are the last evaluation, so a larger budget might move them:"
        f" {'; '.join(parts)}."
    )


def _densities(levels: Sequence[LevelVerdict]) -> str:
    """Densities of levels, runs of them as ranges."""
    runs: list[list[LevelVerdict]] = []
    for level in levels:
        if runs and level.level == runs[-1][-1].level + 1:
            runs[-1].append(level)
        else:
            runs.append([level])
    return ", ".join(
        percent(run[0].density)
        if len(run) == 1
        else f"{percent(run[0].density)} to {percent(run[-1].density)}"
        for run in runs
    )


def _replicates(n: int) -> str:
    return "one replicate" if n == 1 else f"{n} replicates"
