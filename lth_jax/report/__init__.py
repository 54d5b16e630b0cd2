"""Report: a workdir as a page, figures, a table and a verdict."""

import json
import os
import pathlib
from collections.abc import Sequence

from lth_jax.analysis import words
from lth_jax.analysis.verdict import as_json
from lth_jax.config import VerdictConfig
from lth_jax.report import page, table
from lth_jax.report.comparison_page import comparison_page
from lth_jax.report.material import gather
from lth_jax.report.panels import sections
from lth_jax.report.standings_table import as_text, standings_table
from lth_jax.store.files import whole
from lth_jax.store.workdir import Workdir


def compare(
    workdirs: Sequence[Workdir],
    path: pathlib.Path,
    settings: Sequence[VerdictConfig | None],
) -> str:
    """Writes one page of several studies; returns what to print.

    Args:
      workdirs: of the studies.
      path: of the page.
      settings: how to judge each, as for `write`.

    Raises:
      RecordsError, WorkdirError: as `write` does.
      UserError: if there are more than can be told apart.
    """
    materials = [gather(*pair) for pair in zip(workdirs, settings, strict=True)]
    titles = [material.title for material in materials]
    distinct = len(set(titles)) == len(titles)
    names = titles if distinct else _paths([workdir.root for workdir in workdirs])
    content = comparison_page(materials, names)
    with whole(path) as unfinished:
        unfinished.write_text(content)
    return f"page     {path}"


def _paths(roots: Sequence[pathlib.Path]) -> list[str]:
    """The paths without what they have in common, which no reader needs."""
    paths = [root.absolute() for root in roots]
    common = os.path.commonpath([path.parent for path in paths])
    return [str(path.relative_to(common)) for path in paths]


def write(workdir: Workdir, settings: VerdictConfig | None = None) -> str:
    """Writes page, figures, table and verdict of a study; returns what to print.

    The study may be running: then they are of what is finished.

    Args:
      workdir: of the study.
      settings: how to judge it; its config's own if None.

    Raises:
      RecordsError: if the records are missing or damaged.
      WorkdirError: if it holds no study, or what it says of one is damaged.
    """
    material = gather(workdir, settings)
    shown = sections(material)
    verdict = material.verdict
    note = material.environment.get("data_note")
    text = table.render(verdict.summaries, verdict.metric, note)
    if verdict.standings:
        compared = standings_table(verdict, material.config.prune.criterion)
        text = f"{text}\n\n{as_text(compared, verdict.metric)}"
    outputs = {
        workdir.table: f"{text}\n",
        workdir.verdict: json.dumps(as_json(verdict), indent=1) + "\n",
        workdir.page: page.study_page(material, shown),
    }
    for path, content in outputs.items():
        with whole(path) as unfinished:
            unfinished.write_text(content)
    workdir.figures.mkdir(exist_ok=True)
    for panel in (panel for section in shown for panel in section.panels):
        for suffix in ("png", "pdf"):
            with whole(workdir.figures / f"{panel.name}.{suffix}") as unfinished:
                panel.figure.savefig(unfinished, dpi=200)
    return "\n".join(
        (
            text,
            "",
            *words.sentences(verdict),
            "",
            f"page     {workdir.page}",
            f"figures  {workdir.figures}",
            f"verdict  {workdir.verdict}",
            f"table    {workdir.table}",
            f"records  {workdir.records} (CSV)",
            f"tickets  {workdir.tickets} (for numpy.load)",
        )
    )
