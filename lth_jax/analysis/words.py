"""Words: a verdict in sentences that the records support."""

import collections
import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from lth_jax.analysis.intervals import MOST_TO_TELL, Estimate
from lth_jax.analysis.metric import ACCURACY, with_ends, with_interval
from lth_jax.analysis.verdict import LevelVerdict, Place, Verdict
from lth_jax.lottery.arms import reported_arm

_T = TypeVar("_T")


def sentences(verdict: Verdict) -> list[str]:
    """Returns the verdict as sentences, the most important first."""
    if not verdict.levels:
        return ["Only the dense net has been trained so far: there is no ticket yet."]
    told = [_winning, _criteria, _matching, _at_the_end, _best, _fastest, _below]
    told.insert(1 if verdict.is_budget_short else len(told), _still_improving)
    return [sentence for tell in told if (sentence := tell(verdict))]


def percent(density: float) -> str:
    """Returns a density as a percentage of the weights, such as "51.2%"."""
    return f"{100 * density:.3g}%"


def steps(estimate: Estimate) -> str:
    """Returns a number of steps as text, with its interval."""
    return with_interval(estimate, ",.0f", ",.0f")


def times(estimate: Estimate) -> str:
    """Returns a ratio as text, with its interval."""
    return with_ends(estimate, "{:.2f}".format)


def margin(verdict: Verdict) -> str:
    """Returns as text how much worse than the dense net still counts as a match.

    For a loss it is a share of the dense nets' loss.
    """
    metric, margin = verdict.metric, verdict.metric_margin
    if metric.name == ACCURACY.name:
        return f"{metric.scale * margin:.3g}{metric.points}"
    dense = abs(verdict.summaries[0].early_stop_metric.value)
    return f"{100 * margin / dense if dense else 0:.3g}%"


def value(number: float, show: Callable[[Estimate], str]) -> str:
    """Returns a number as `show` formats an estimate without an interval."""
    return show(Estimate(number, math.nan, math.nan))


def band(verdict: Verdict, more: str = "", drawn: str = "band") -> str:
    """Describes a figure's line and its band, or interval; one replicate has none."""
    if verdict.num_replicates == 1:
        return "the one replicate"
    return f"the mean over the replicates, with a 95% {drawn}{more}"


def span(items: Sequence[_T], show: Callable[[_T], str] = str) -> str:
    """Returns the first and the last item, such as "3 to 5"; one if they are equal."""
    return " to ".join(show(item) for item in dict.fromkeys((items[0], items[-1])))


def _winning(verdict: Verdict) -> str:
    if not verdict.is_rewound:
        return (
            "No net here is a lottery ticket: each level continues from trained weights,"
            " and its steps are counted from there."
        )
    yes, no, undecided, untested = (
        [level for level in verdict.levels if level.winning.answer == answer]
        for answer in ("yes", "no", "undecided", "not tested")
    )
    if untested and all(x.beats_reinit.answer == "not tested" for x in verdict.levels):
        return (
            "Whether there is a winning ticket was not tested: this needs the arm"
            " 'reinit'."
        )
    found = f"no winning ticket is shown by {_replicates(verdict)}."
    if yes:
        # A short budget cannot show how fast they learn.
        learn = " and" if verdict.is_budget_short else ", learn no more slowly, and"
        found = (
            f"there are winning tickets, at {_densities(yes)} of the weights: they match"
            f" the dense net{learn} beat reinit, a fresh init of their mask."
        )
    found = f"in this short budget, {found}" if verdict.is_budget_short else found
    found = found[0].upper() + found[1:]
    if no:
        found += f" The ticket is shown not to win at {_densities(no)}."
    if undecided:
        found += f" {_left_open(undecided, verdict)}"
    if untested:  # reinit may have run fewer levels than the ticket
        found += f" At {_which(untested, verdict)} the arm 'reinit' is still to run."
    return found


def to_tell(replicates: int) -> str:
    """Returns as text how many replicates would decide a question."""
    more = replicates >= MOST_TO_TELL
    return f"more than {MOST_TO_TELL:,}" if more else f"about {replicates:,}"


def _left_open(levels: Sequence[LevelVerdict], verdict: Verdict) -> str:
    where = _which(levels, verdict)
    told = f"Whether it wins is undecided at {where} with {_replicates(verdict)}"
    needed = [n for x in levels if (n := x.winning.replicates) is not None]
    if len(needed) < len(levels):
        return f"{told}."
    fewest, most = min(needed), max(needed)
    first = f"about {fewest:,} to " if fewest < min(most, MOST_TO_TELL) else ""
    last = to_tell(most).removeprefix("about ") if first else to_tell(most)
    return f"{told}; {first}{last} might decide it."


def _replicates(verdict: Verdict) -> str:
    n = verdict.num_replicates
    return "one replicate" if n == 1 else f"{n} replicates"


def _densities(levels: Sequence[LevelVerdict | Place]) -> str:
    """Returns the densities of levels, with successive levels as ranges."""
    runs = itertools.groupby(enumerate(levels), lambda pair: pair[1].level - pair[0])
    return ", ".join(
        span([level for _, level in run], lambda level: percent(level.density))
        for _, run in runs
    )


def _which(levels: Sequence[LevelVerdict], verdict: Verdict) -> str:
    some, of_all = len(levels), len(verdict.levels)
    if of_all == 1:
        return "the one level"
    return "all levels" if some == of_all else f"{some} of {of_all} levels"


def _matching(verdict: Verdict) -> str:
    place = verdict.answers.sparsest_matching
    side = "below" if verdict.metric.sign > 0 else "above"
    dense = f"the dense net ({margin(verdict)} {side} it at most)"
    if place is None:
        return f"The ticket is not shown to match {dense} at any density."
    kept = f"{percent(place.density)} of the weights"
    return f"The sparsest ticket that matches {dense} keeps {kept}."


def _best(verdict: Verdict) -> str:
    metric, best = verdict.metric, verdict.answers.best
    if best is None:
        return ""
    is_accuracy = metric.name == ACCURACY.name
    leads = "is most accurate" if is_accuracy else f"has the least {metric.name}"
    anew = ""
    if best.two_way.has_interval:
        anew = f"; {metric.ends(best.two_way, True)} if test examples vary too"
    gain = f"{metric.difference(best.estimate)}{metric.points} from dense"
    note = _chosen(best.estimate, verdict)
    return f"The ticket {leads} at {percent(best.density)}: {gain}{note}{anew}."


def _fastest(verdict: Verdict) -> str:
    fastest = verdict.answers.fastest
    if not verdict.is_rewound:
        return ""
    if verdict.is_budget_short:
        return "Which net learns fastest is left open: the budget cuts early stops short."
    if fastest is None:
        return ""
    return (
        f"It learns fastest at {percent(fastest.density)}: its early stop comes"
        f" {times(fastest.estimate)} times sooner than the dense net's"
        f"{_chosen(fastest.estimate, verdict)}."
    )


def _chosen(estimate: Estimate, verdict: Verdict) -> str:
    """Returns the note on an interval for the best of several levels."""
    num_levels = len(verdict.levels)
    if not estimate.has_interval or num_levels == 1:
        return ""
    return f" (95% interval, widened for the choice among {num_levels} levels)"


def _criteria(verdict: Verdict) -> str:
    """Says which criteria beat random pruning at the sparsest level that all have."""
    metric, standings = verdict.metric, verdict.standings
    if not standings:
        return ""
    last = min(len(standing.scores) for standing in standings) - 1
    scores = {standing.arm: standing.scores[last] for standing in standings}
    best = max(scores, key=lambda arm: metric.sign * scores[arm].metric.value)
    leader = "the ticket's" if best == "ticket" else best
    most = "highest" if metric.sign > 0 else "least"
    found = (
        f"Of {len(scores)} criteria, the ticket's among them, {leader} has the {most}"
        f" mean {metric.name} at {percent(scores[best].density)} of the weights:"
        f" {metric.text(scores[best].metric)}{metric.unit}."
    )
    counts = collections.Counter(score.answer for score in scores.values())
    if list(counts) == ["not tested"]:
        return found
    return (
        f"{found} There, shown to be {metric.better} random pruning: {counts['yes']};"
        f" {metric.worse} it: {counts['no']}; undecided: {counts['undecided']}."
    )


def _below(verdict: Verdict) -> str:
    parts = []
    if not any(verdict.answers.below_dense_from.values()):
        return f"No arm is shown to be {verdict.metric.worse} dense."
    for name, place in verdict.answers.below_dense_from.items():
        where = f"at {percent(place.density)}" if place else "at no density"
        if not (arm := reported_arm(name)).is_criterion:
            parts.append(f"{arm.label} {where}")
    worse = verdict.metric.worse
    return f"Going sparser, first shown to be {worse} dense: {'; '.join(parts)}."


def _at_the_end(verdict: Verdict) -> str:
    """Says whether the metric at the end of training leads to other answers."""
    answers = verdict.answers
    if verdict.num_replicates == 1:
        return ""
    when = f"By {verdict.metric.name} at the end of training"
    sparsest, winning = answers.sparsest_matching_at_end, answers.winning_at_end
    is_same = (sparsest, winning) == (answers.sparsest_matching, answers.winning)
    if sparsest is None:
        either = " either" if is_same else ""
        return f"{when}, no ticket is shown to match dense{either}."
    if is_same:
        and_win = ", and the same tickets win" if winning else ""
        return f"{when}, the same ticket is the sparsest that matches dense{and_win}."
    told = f"the sparsest that matches dense keeps {percent(sparsest.density)}"
    if any(level.winning.answer != "not tested" for level in verdict.levels):
        wins = f"winning tickets are at {_densities(winning)}"
        told += f", and {wins if winning else 'none is shown to win'}"
    return f"{when}, {told}."


def _still_improving(verdict: Verdict) -> str:
    """Lists the nets that were trained too briefly for an early stop."""
    late = [s for s in verdict.summaries if 2 * s.num_still_improving > s.num_replicates]
    most: dict[str, float] = {}
    for s in late:
        if s.level:
            most[s.arm] = max(s.density, most.get(s.arm, 0.0))
    others = [most.pop(arm) for arm in list(most) if reported_arm(arm).is_criterion]
    parts = ["dense net"] if any(s.level == 0 for s in late) else []
    parts += [f"{arm} from {percent(density)} on" for arm, density in most.items()]
    if others:
        parts.append(f"{len(others)} other criteria, some from {percent(max(others))} on")
    told = "Training was too short for these (most early stops are in its last tenth)"
    more = (
        " With more num_steps, other tickets may match or win."
        if verdict.is_budget_short
        else ""
    )
    return f"{told}: {'; '.join(parts)}.{more}" if parts else ""
