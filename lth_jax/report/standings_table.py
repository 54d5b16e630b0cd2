"""Standings table: the criteria of a study, level by level."""

from lth_jax.analysis import words
from lth_jax.analysis.metric import Metric
from lth_jax.analysis.standings import Score
from lth_jax.analysis.verdict import Verdict
from lth_jax.pruning.criteria import CRITERIA
from lth_jax.report.grid import Grid, folded
from lth_jax.report.verdict_table import Cell, Table

_LOOKS = {"init": "init", "end": "trained net", "nothing": "nothing"}


def standings_table(verdict: Verdict, criterion: str) -> Table:
    """Returns a row for each criterion, the best first; `criterion` is the ticket's."""
    metric = verdict.metric
    densities = {x.level: x.density for s in verdict.standings for x in s.scores}
    levels = sorted(densities)
    rows = []
    for arm, _, scores in verdict.standings:
        name = criterion if arm == "ticket" else arm
        found = {score.level: _cell(score, metric) for score in scores}
        shown = f"{name} (the ticket)" if arm == "ticket" else name
        row = [Cell(shown), Cell(_LOOKS[CRITERIA.find(name).looks])]
        rows.append([*row, *(found.get(level, Cell("")) for level in levels)])
    heads = ["criterion", "looks at", *(words.percent(densities[x]) for x in levels)]
    return Table(heads, rows)


def meanings(verdict: Verdict, criterion: str) -> list[tuple[str, str]]:
    """Returns the criteria by name, with the first line that documents each score."""
    names = (criterion if x.arm == "ticket" else x.arm for x in verdict.standings)
    scores = ((name, CRITERIA.find(name).scores) for name in names)
    # The documentation of a partial function is that of partial itself.
    documented = ((name, getattr(x, "func", x).__doc__) for name, x in scores)
    return [(name, doc.strip().splitlines()[0]) for name, doc in documented if doc]


def _cell(score: Score, metric: Metric) -> Cell:
    kind = score.answer if score.answer in ("yes", "no") else ""
    return Cell(metric.text(score.metric), kind)


def as_text(table: Table, metric: Metric, columns: int | None = None) -> list[str]:
    """Returns the table as lines, folded to `columns` characters if given.

    A sign (+ or -) marks what the page shows in bold.
    """
    signs = {"yes": " +", "no": " -"}
    rows = [[c.text + signs.get(c.kind, "  ") for c in row] for row in table.rows]
    heads = [*table.heads[:2], *(f"{head}  " for head in table.heads[2:])]
    lines = folded(Grid([heads, *rows], num_names=2, num_left=2), columns)
    return [
        *lines,
        "",
        f"+ {metric.better}, - {metric.worse} random pruning (p < 5%, Holm).",
    ]
