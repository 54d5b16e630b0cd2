"""Standings table: the criteria of a study, level by level."""

from collections.abc import Sequence

from lth_jax.analysis import words
from lth_jax.analysis.standings import Score, Standing
from lth_jax.pruning.criteria import CRITERIA
from lth_jax.report.verdict_table import Cell, Table

_LOOKS = {"init": "init", "end": "trained net", "nothing": "nothing"}
_NOTE = (
    "Test accuracy at early stop, in %, with half of the 95% interval (Student's t over"
    " the replicates); the best mean over the levels that all have first. Bold green is"
    " shown to be above random pruning of each layer alike, bold red below it (paired by"
    " replicate, corrected for the number of criteria and levels; Holm, 5%)."
)


def standings_table(standings: Sequence[Standing], criterion: str) -> Table:
    """A row for each criterion, the best first.

    Args:
      standings: of a study; may be empty.
      criterion: the ticket's.
    """
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
                Cell(_LOOKS[CRITERIA[name].looks]),
                *(_cell(scores.get(level)) for level in levels),
            ]
        )
    heads = ["criterion", "looks at", *(words.percent(densities[x]) for x in levels)]
    return Table(heads, rows, _NOTE)


def _cell(score: Score | None) -> Cell:
    if score is None:
        return Cell("")
    kind = score.answer if score.answer in ("yes", "no") else ""
    return Cell(words.accuracy(score.accuracy), kind)


def as_text(table: Table) -> str:
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
    return "\n".join([*lines, "", "+ above, - below random pruning (p < 5%, Holm)."])
