"""Printed: what a command prints about studies at its end, to fit the terminal."""

import pathlib
import shutil
import textwrap

from lth_jax.analysis import words
from lth_jax.analysis.verdict import Verdict
from lth_jax.report import standings_table, table
from lth_jax.report.grid import Grid, folded
from lth_jax.report.verdict_table import Table
from lth_jax.store.workdir import Workdir

# Of the table of several studies: the name, the dense net, what matches, what wins.
_BRIEF = 0, 2, 3, -1
_MOST_COLUMNS = 100  # for prose: longer lines are hard to read


def printed(
    workdir: Workdir,
    verdict: Verdict,
    criterion: str,
    data_note: str | None,
    is_whole: bool = True,
) -> str:
    """Returns the table, the verdict, and the paths of all other files, as text.

    `criterion` is the ticket's. If `is_whole`, the workdir also has records and tickets,
    which merged shards do not.
    """
    columns = shutil.get_terminal_size().columns
    told = table.brief(verdict.summaries, verdict.metric, columns)
    told += ["", *_wrapped(_how_to_read(verdict), columns)]
    told += [] if data_note is None else [data_note]
    if verdict.standings:
        compared = standings_table.standings_table(verdict, criterion)
        told += ["", *standings_table.as_text(compared, verdict.metric, columns)]
    told.append("")
    for sentence in words.sentences(verdict):
        told += _wrapped(sentence, columns, hang="  ")
    told += ["", f"page     {workdir.page}", f"figures  {workdir.figures}"]
    told += [f"verdict  {workdir.verdict}", f"table    {workdir.table}"]
    if is_whole:
        told += [f"records  {workdir.records} (CSV)"]
        told += [f"tickets  {workdir.tickets} (for numpy.load)"]
    return "\n".join(told)


def printed_of_several(page: pathlib.Path, studies: Table) -> str:
    """Returns the main answers, a line for each study, and the page's path, as text."""
    rows = [[row[i].text for i in _BRIEF] for row in studies.rows]
    grid = Grid([[studies.heads[i] for i in _BRIEF], *rows], num_names=1, num_left=1)
    told = folded(grid, shutil.get_terminal_size().columns)
    return "\n".join([*told, "", f"page     {page}"])


def _how_to_read(verdict: Verdict) -> str:
    metric, unit = verdict.metric, verdict.metric.unit
    return (
        f"Test {metric.name}{unit and f' in {unit}'} and step at early stop, which is the"
        " first evaluation with the least validation loss. Level 0 is the dense net."
        f" {table.how_to_read(verdict.summaries)}{table.arms_in_words(verdict.summaries)}"
    )


def _wrapped(text: str, columns: int, hang: str = "") -> list[str]:
    width = min(columns, _MOST_COLUMNS)
    return textwrap.wrap(
        text,
        width,
        subsequent_indent=hang,
        break_long_words=False,
        break_on_hyphens=False,
    )
