"""Report: a study's records as a table and a figure."""

from lth_jax.analysis.summary import summarize
from lth_jax.report import figures, table
from lth_jax.study import records
from lth_jax.study.files import whole
from lth_jax.study.workdir import Workdir, read_data_note


def write(workdir: Workdir, title: str) -> str:
    """Writes table and figure from the records; returns what to print.

    Raises:
      RecordsError: if the records are missing or damaged.
      WorkdirError: if what is noted of the data is damaged.
    """
    runs = records.read(workdir.records)
    summaries = summarize(runs)
    data_note = read_data_note(workdir)
    text = table.render(summaries, data_note)
    with whole(workdir.table) as path:
        path.write_text(text + "\n")
    figures.accuracy_and_speed(summaries, workdir.figure, title, data_note)
    return "\n".join(
        (
            text,
            "",
            f"figure   {workdir.figure}",
            f"table    {workdir.table}",
            f"records  {workdir.records} (CSV)",
            f"tickets  {workdir.tickets} (for numpy.load)",
        )
    )
