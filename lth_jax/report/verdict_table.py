"""Verdict table: the ticket level by level, and the paper's claims."""

from collections.abc import Sequence
from typing import NamedTuple

from lth_jax.analysis import words
from lth_jax.analysis.claims import ClaimCheck
from lth_jax.analysis.metric import ACCURACY, LOSS, Metric
from lth_jax.analysis.outcomes import Summary
from lth_jax.analysis.verdict import Finding, LevelVerdict, Verdict
from lth_jax.lottery.arms import reported_arm

_HELD = {"holds": "yes", "does not hold": "no"}


class Cell(NamedTuple):
    """A cell of a table; if it is an answer, `kind` is "yes", "no" or "undecided"."""

    text: str
    kind: str = ""
    below: str = ""  # a second line in small letters
    key: str = ""  # names the colour of the text, in the first cell of a row
    link: str = ""  # an address, in the first cell of a row


class Table(NamedTuple):
    """A table's heads and rows."""

    heads: list[str]
    rows: list[list[Cell]]


def level_table(verdict: Verdict, arms: Sequence[str]) -> Table:
    """Returns the table of the ticket against dense and against each control.

    The first row is the dense net. Below a value is its interval for new test examples,
    if that is known. A short budget shows no speed-ups.
    """
    controls = [arm for arm in arms if arm != "ticket"]
    reached = f"ticket, {verdict.metric.heading}"
    heads = ["kept", "weights", "winning ticket", "matches dense", reached]
    heads += ["ticket minus dense"]
    heads += [f"ticket minus {reported_arm(arm).label}" for arm in controls]
    heads += ["early-stop step", *(() if verdict.is_budget_short else ("speed-up",))]
    if not verdict.levels:
        return Table(heads, [])
    net = verdict.summaries[0]
    dense = {
        "kept": Cell("100% (dense)"),
        "weights": Cell(f"{net.weights_left:,}"),
        reached: _reached(net, verdict.metric),
        "early-stop step": Cell(words.steps(net.early_stop_step)),
    }
    rows = [_row(level, verdict, controls) for level in verdict.levels]
    return Table(heads, [[dense.get(head, Cell("")) for head in heads], *rows])


def _reached(summary: Summary, metric: Metric) -> Cell:
    anew = metric.ends(summary.early_stop_two_way)
    return Cell(metric.text(summary.early_stop_metric), below=anew)


def _row(level: LevelVerdict, verdict: Verdict, controls: Sequence[str]) -> list[Cell]:
    metric, place = verdict.metric, ("ticket", level.level)
    ticket = next(s for s in verdict.summaries if (s.arm, s.level) == place)
    found = {c.reference: c for c in verdict.comparisons if (c.arm, c.level) == place}
    dense = found["dense"]
    gaps = {name: metric.difference(c.early_stop_difference) for name, c in found.items()}
    gap_anew = metric.ends(dense.early_stop_two_way, True)
    return [
        Cell(words.percent(level.density)),
        Cell(f"{level.weights_left:,}"),
        _winning(level, verdict),
        _answer(level.matches_dense, verdict),
        _reached(ticket, metric),
        Cell(gaps["dense"], below=gap_anew),
        *(Cell(gaps.get(arm, "")) for arm in controls),
        Cell(words.steps(ticket.early_stop_step)),
        *(() if verdict.is_budget_short else (Cell(words.times(dense.speedup)),)),
    ]


def _answer(finding: Finding, verdict: Verdict) -> Cell:
    kind = "" if finding.answer == "not tested" else finding.answer
    if finding.answer != "undecided":
        return Cell(finding.answer, kind)
    told = ""
    if verdict.num_replicates == 1:
        told = ": one replicate cannot tell"
    elif finding.replicates is not None:
        told = f": {words.to_tell(finding.replicates)} replicates would tell"
    return Cell(f"undecided{told}", kind)


def _winning(level: LevelVerdict, verdict: Verdict) -> Cell:
    """The answer; a "no" lists the conditions that fail."""
    answer = _answer(level.winning, verdict)
    worse = "less accurate" if verdict.metric.name == ACCURACY.name else "worse"
    fails = {
        f"{worse} than dense": level.matches_dense,
        f"not better than {reported_arm('reinit').label}": level.beats_reinit,
        "learns more slowly": level.as_fast_as_dense,
    }
    why = [told for told, finding in fails.items() if finding.answer == "no"]
    if level.winning.answer != "no" or not why:
        return answer
    return answer._replace(text=f"no: {', '.join(why)}")


def claim_row(check: ClaimCheck) -> dict[str, str]:
    """Returns a claim's text, the paper's value, this study's, and whether it holds."""
    claim = check.claim
    metric = ACCURACY if claim.measure.endswith(ACCURACY.name) else LOSS
    show, unit = metric.difference, metric.points
    if claim.measure in ("speedup", "early_stop_step"):
        show, unit = words.times if claim.measure == "speedup" else words.steps, ""
    elif claim.reference == "none":
        show, unit = metric.text, metric.unit
    against = "" if claim.reference == "none" else f" against {claim.reference}"
    measure = claim.measure.replace("_", " ").replace("speedup", "speed-up")
    numbers = claim.paper, claim.low, claim.high
    paper, low, high = ("" if x is None else words.value(x, show) for x in numbers)
    bounds = f"above {low}" if low else f"below {high}"
    if low and high:
        bounds = f"{low} to {high}"
    return {
        "text": f"{claim.arm} at {words.percent(claim.density)}: {measure}{against}"
        f" ({claim.source})",
        "paper": f"{paper}{unit} ({bounds})",
        "here": "" if check.estimate is None else f"{show(check.estimate)}{unit}",
        "answer": check.answer,
        "kind": _HELD.get(check.answer, "undecided"),
    }
