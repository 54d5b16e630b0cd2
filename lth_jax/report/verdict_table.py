"""Verdict table: the ticket level by level, and the paper's claims, cell by cell."""

from collections.abc import Sequence
from typing import NamedTuple

from lth_jax.analysis import words
from lth_jax.analysis.claims import ClaimCheck
from lth_jax.analysis.metric import ACCURACY, LOSS
from lth_jax.analysis.verdict import Finding, LevelVerdict, Verdict
from lth_jax.lottery.arms import reported_arm

_HELD = {"holds": "yes", "does not hold": "no"}


class Cell(NamedTuple):
    """One of a table; `kind` is "yes", "no" or "undecided" where it is an answer."""

    text: str
    kind: str = ""


class Table(NamedTuple):
    """Rows under heads, and how to read them."""

    heads: list[str]
    rows: list[list[Cell]]
    note: str


def level_table(verdict: Verdict, arms: Sequence[str]) -> Table:
    """The ticket against dense, and against each control among the arms."""
    controls = [arm for arm in arms if arm != "ticket"]
    heads = [
        "kept",
        "weights",
        "winning ticket",
        "matches dense",
        f"ticket, {verdict.metric.heading}",
        "minus dense",
        *(f"minus {reported_arm(arm).label}" for arm in controls),
        "early-stop step",
        "speed-up",
        "mean of ratios",
    ]
    rows = [_row(level, verdict, controls) for level in verdict.levels]
    return Table(heads, rows, _note(verdict))


def _row(level: LevelVerdict, verdict: Verdict, controls: Sequence[str]) -> list[Cell]:
    metric, place = verdict.metric, ("ticket", level.level)
    ticket = next(s for s in verdict.summaries if (s.arm, s.level) == place)
    found = {c.reference: c for c in verdict.comparisons if (c.arm, c.level) == place}
    dense = found["dense"]
    differences = {
        name: Cell(metric.difference(c.early_stop_difference))
        for name, c in found.items()
    }
    return [
        Cell(words.percent(level.density)),
        Cell(f"{level.weights_left:,}"),
        _answer(level.winning),
        _answer(level.matches_dense),
        Cell(metric.text(ticket.early_stop_metric)),
        *(differences.get(arm, Cell("")) for arm in ("dense", *controls)),
        Cell(words.steps(ticket.early_stop_step)),
        Cell(words.times(dense.speedup)),
        Cell(words.times(dense.speedup_by_replicate)),
    ]


def _answer(finding: Finding) -> Cell:
    if finding.answer == "undecided":
        needed = finding.replicates_needed
        return Cell(f"too few (≈ {needed})" if needed else "too few", "undecided")
    return Cell(finding.answer, finding.answer if finding.answer != "not tested" else "")


def _note(verdict: Verdict) -> str:
    metric = verdict.metric
    margin = f"{metric.scale * verdict.metric_margin:g}{metric.points}"
    what, unit, points = "Losses", "", ""
    if metric is ACCURACY:
        what, unit, points = "Accuracies", " in %,", " in percentage points,"
    return (
        f"{what} are on test data at early stop,{unit} with half of the 95% interval"
        " (Student's t over the replicates). Differences are paired by replicate,"
        f"{points} with their 95% intervals. Speed-up is the dense net's early-stop step"
        " over the ticket's: the ratio of means, and the mean of the replicates' ratios."
        " Answers are corrected for the number of levels (Holm, 5%). Matches dense: no"
        f" more than {margin} {metric.worse} it. Winning ticket: matches dense, beats a"
        " fresh init of the same mask, and is not shown to learn more slowly than dense."
        " Too few: about how many replicates would tell, were this level's difference the"
        " true one (80% power)."
    )


def claim_row(check: ClaimCheck) -> dict[str, str]:
    """What a claim says, the paper's value, the one here, and whether it holds."""
    claim = check.claim
    if claim.measure == "speedup":
        show, unit = words.times, ""
    elif claim.measure == "early_stop_step":
        show, unit = words.steps, ""
    else:
        metric = ACCURACY if claim.measure.endswith(ACCURACY.name) else LOSS
        absolute = claim.reference == "none"
        show = metric.text if absolute else metric.difference
        unit = metric.unit if absolute else metric.points
    against = "" if claim.reference == "none" else f" against {claim.reference}"
    measure = claim.measure.replace("_", " ").replace("speedup", "speed-up")
    paper, low, high = (
        "" if x is None else words.value(x, show)
        for x in (claim.paper, claim.low, claim.high)
    )
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
