"""Standings table: the criteria of a study, level by level."""

from lth_jax.analysis import words
from lth_jax.analysis.metric import Metric
from lth_jax.analysis.standings import Score
from lth_jax.analysis.verdict import Verdict
from lth_jax.pruning.criteria import CRITERIA
from lth_jax.report.verdict_table import Cell, Table

_LOOKS = {"init": "init", "end": "trained net", "nothing": "nothing"}


def standings_table(verdict: Verdict, criterion: str) -> Table:
    """A row for each criterion, the best first.

    Args:
      verdict: on a study; one without standings has no rows.
      criterion: the ticket's.
    """
    standings, metric = verdict.standings, verdict.metric
    densities = {x.level: x.density for s in standings for x in s.scores}
    levels = sorted(densities)
    rows = []
    for standing in standings:
        is_ticket = standing.arm == "ticket"
        name = criterion if is_ticket else standing.arm
        scores = {score.level: score for score in standing.scores}
        rows.append(
            [
                Cell(f"{name} (the ticket)" if is_ticket else name),
                Cell(_LOOKS[CRITERIA.find(name).looks]),
                *(_cell(scores.get(level), metric) for level in levels),
            ]
        )
    heads = ["criterion", "looks at", *(words.percent(densities[x]) for x in levels)]
    return Table(heads, rows, _note(metric))


def _note(metric: Metric) -> str:
    unit = metric.unit and f" in {metric.unit},"
    return (
        f"Test {metric.name} at early stop,{unit} with half of the 95% interval"
        " (Student's t over the replicates); the best mean over the levels that all have"
        f" first. Bold green is shown to be {metric.better} random pruning of each layer"
        f" alike, bold red {metric.worse} it (paired by replicate, corrected for the"
        " number of criteria and levels; Holm, 5%)."
    )


def _cell(score: Score | None, metric: Metric) -> Cell:
    if score is None:
        return Cell("")
    kind = score.answer if score.answer in ("yes", "no") else ""
    return Cell(metric.text(score.metric), kind)


def as_text(table: Table, metric: Metric) -> str:
    """The same for a terminal; what is told in bold on a page is a sign here."""
    signs = {"yes": " +", "no": " -"}
    rows = [
        table.heads,
        *([c.text + signs.get(c.kind, "  ") for c in row] for row in table.rows),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if i > 1 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    signs_note = f"+ {metric.better}, - {metric.worse} random pruning (p < 5%, Holm)."
    return "\n".join([*lines, "", signs_note])
