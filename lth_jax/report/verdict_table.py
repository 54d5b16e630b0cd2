"""Verdict table: the ticket level by level, and the paper's claims, cell by cell."""

from collections.abc import Sequence
from typing import NamedTuple

from lth_jax.analysis import words
from lth_jax.analysis.claims import ClaimCheck
from lth_jax.analysis.comparison import Comparison
from lth_jax.analysis.metric import ACCURACY, LOSS, Metric
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
    rows = [_row(level, verdict, arms) for level in verdict.levels]
    return Table(_heads(arms, verdict.metric), rows, _note(verdict))


def _heads(arms: Sequence[str], metric: Metric) -> list[str]:
    controls = [f"minus {reported_arm(arm).label}" for arm in arms if arm != "ticket"]
    return [
        "kept",
        "weights",
        "winning ticket",
        "matches dense",
        f"ticket, {metric.heading}",
        "minus dense",
        *controls,
        "early-stop step",
        "speed-up",
        "mean of ratios",
    ]


def _row(level: LevelVerdict, verdict: Verdict, arms: Sequence[str]) -> list[Cell]:
    n = level.level
    ticket = next(s for s in verdict.summaries if (s.arm, s.level) == ("ticket", n))
    compared = {
        c.reference: c for c in verdict.comparisons if (c.arm, c.level) == ("ticket", n)
    }
    metric = verdict.metric
    others = [compared.get(arm) for arm in arms if arm != "ticket"]
    controls = [_difference(other, metric) for other in others]
    dense = compared["dense"]
    return [
        Cell(words.percent(level.density)),
        Cell(f"{level.weights_left:,}"),
        _answer(level.winning),
        _answer(level.matches_dense),
        Cell(metric.text(ticket.early_stop_metric)),
        _difference(dense, metric),
        *controls,
        Cell(words.steps(ticket.early_stop_step)),
        Cell(words.times(dense.speedup)),
        Cell(words.times(dense.speedup_by_replicate)),
    ]


def _difference(comparison: Comparison | None, metric: Metric) -> Cell:
    if comparison is None:
        return Cell("")
    return Cell(metric.difference(comparison.early_stop_difference))


def _answer(finding: Finding) -> Cell:
    if finding.answer == "undecided":
        needed = finding.replicates_needed
        return Cell(f"too few (≈ {needed})" if needed else "too few", "undecided")
    return Cell(finding.answer, finding.answer if finding.answer != "not tested" else "")


def _note(verdict: Verdict) -> str:
    metric = verdict.metric
    is_accuracy = metric is ACCURACY
    margin = f"{metric.scale * verdict.metric_margin:g}{metric.points}"
    return (
        f"{'Accuracies' if is_accuracy else 'Losses'} are on test data at early stop,"
        f"{' in %,' if is_accuracy else ''} with half of the 95% interval (Student's t"
        " over the replicates). Differences are paired by replicate,"
        f"{' in percentage points,' if is_accuracy else ''} with their 95% intervals."
        " Speed-up is the dense net's"
        " early-stop step over the ticket's: the ratio of means, and the mean of the"
        " replicates' ratios. Answers are corrected for the number of levels (Holm, 5%)."
        f" Matches dense: no more than {margin} {metric.worse} it."
        " Winning ticket: matches"
        " dense, beats a fresh init of the same mask, and is not shown to learn more"
        " slowly than dense. Too few: about how many replicates would tell, were this"
        " level's difference the true one (80% power)."
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
    paper = words.value(claim.paper, show)
    low, high = (
        words.value(x, show) if x is not None else "" for x in (claim.low, claim.high)
    )
    bounds = (
        f"{low} to {high}" if low and high else f"above {low}" if low else f"below {high}"
    )
    return {
        "text": f"{claim.arm} at {words.percent(claim.density)}: {measure}{against}"
        f" ({claim.source})",
        "paper": f"{paper}{unit} ({bounds})",
        "here": "" if check.estimate is None else f"{show(check.estimate)}{unit}",
        "answer": check.answer,
        "kind": _HELD.get(check.answer, "undecided"),
    }
