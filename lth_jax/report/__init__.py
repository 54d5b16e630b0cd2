"""Report: writes a study's page, figures, table and verdict.

The code that draws takes half a second to import, and is imported only when needed.
"""

import itertools
import json
import os
import pathlib
from collections.abc import Mapping, Sequence

from lth_jax.analysis.verdict import as_json
from lth_jax.config import VerdictConfig
from lth_jax.errors import UserError
from lth_jax.report import drawn, table
from lth_jax.report.material import gather, judged
from lth_jax.report.printed import printed, printed_of_several
from lth_jax.report.standings_table import as_text, standings_table
from lth_jax.store.files import whole
from lth_jax.store.workdir import Workdir


def compare(
    workdirs: Sequence[Workdir],
    path: pathlib.Path,
    settings: Sequence[VerdictConfig | None],
) -> str:
    """Writes one page that compares several studies, each judged as in `write`.

    The studies are in the order of the numeric field in which they differ, if there is
    one, and else as given.

    Returns the text to print. Raises what `write` does, and a `UserError` if the studies
    are judged by different metrics.
    """
    from lth_jax.report.axes_of_studies import in_order
    from lth_jax.report.comparison_page import comparison_page
    from lth_jax.report.studies_table import studies_table

    found = [gather(*pair) for pair in zip(workdirs, settings, strict=True)]
    order = in_order([material.config for material in found])
    materials, workdirs = [found[i] for i in order], [workdirs[i] for i in order]
    names = [material.title for material in materials]
    if len(set(names)) < len(names):
        # Titles are ambiguous: use the paths, without the folders that all share.
        roots = [workdir.root.absolute() for workdir in workdirs]
        common = os.path.commonpath([root.parent for root in roots])
        names = [str(root.relative_to(common)) for root in roots]
    links = [
        os.path.relpath(workdir.page, path.parent) if workdir.page.exists() else ""
        for workdir in workdirs
    ]
    _write({path: comparison_page(materials, names, links)})
    return printed_of_several(path, studies_table(materials, names))


def merge(
    workdirs: Sequence[Workdir], folder: pathlib.Path, settings: VerdictConfig | None
) -> str:
    """Writes the report of a study, given as shards, to a folder; see `write`.

    Raises what `write` and `store.shards.read` do, and a `UserError` if the folder holds
    a study.
    """
    merged = Workdir(folder)
    if merged.config.exists():
        raise UserError(f"--out: {folder} holds a study; choose another folder")
    return write(merged, settings, workdirs)


def show(workdir: Workdir, settings: VerdictConfig | None = None) -> str:
    """Returns what `write` does, but draws nothing if the report is up to date.

    The study must be finished, with its files as they were written.
    """
    if not drawn.is_up_to_date(workdir, settings):
        return write(workdir, settings)
    study, verdict = judged(workdir, settings)
    note = study.environment.get("data_note")
    return printed(workdir, verdict, study.config.prune.criterion, note)


def write(
    workdir: Workdir,
    settings: VerdictConfig | None = None,
    shards: Sequence[Workdir] = (),
) -> str:
    """Writes page, figures, table and verdict of the finished part of a study.

    If `settings` is None, the verdict follows the study's own config. If there are
    `shards`, the report is of their study in place of the workdir's.

    Returns:
      The text to print.

    Raises:
      RecordsError: if the records are missing or damaged.
      WorkdirError: if a workdir holds no study, or a damaged one, or if shards do not
        belong together.
    """
    from lth_jax.report import page
    from lth_jax.report.panels import sections

    origin = None if shards else drawn.origin(workdir, settings)
    material = gather(workdir, settings, shards)
    shown = sections(material)
    verdict = material.verdict
    note = material.environment.get("data_note")
    text = table.render(verdict.summaries, verdict.metric, note)
    if verdict.standings:
        compared = standings_table(verdict, material.config.prune.criterion)
        text = "\n".join([text, "", *as_text(compared, verdict.metric)])
    workdir.root.mkdir(parents=True, exist_ok=True)
    _write(
        {
            workdir.table: f"{text}\n",
            workdir.verdict: json.dumps(as_json(verdict), indent=1) + "\n",
            workdir.page: page.study_page(material, shown),
        }
    )
    workdir.figures.mkdir(exist_ok=True)
    plots = [item for section in shown for item in section.plots.items()]
    for (name, plot), suffix in itertools.product(plots, ("png", "pdf")):
        with whole(workdir.figures / f"{name}.{suffix}") as unfinished:
            plot.figure.savefig(unfinished, dpi=200)
    if origin is not None:
        drawn.note(workdir, origin)
    criterion = material.config.prune.criterion
    return printed(workdir, verdict, criterion, note, is_whole=not shards)


def _write(contents: Mapping[pathlib.Path, str]) -> None:
    for path, content in contents.items():
        with whole(path) as unfinished:
            unfinished.write_text(content, encoding="utf-8")
