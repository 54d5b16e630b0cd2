"""Material: everything that a report shows, read from a workdir or from shards."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from lth_jax.analysis.anatomy import Anatomy, anatomy
from lth_jax.analysis.levels import levels_that_matter
from lth_jax.analysis.verdict import Verdict, judge
from lth_jax.config import StudyConfig, VerdictConfig
from lth_jax.store import analyses, shards
from lth_jax.store.files import DamagedFile, written
from lth_jax.store.histograms import Histogram
from lth_jax.store.records import Run
from lth_jax.store.workdir import Workdir

T = TypeVar("T")
_MOST_HISTOGRAMS = 4  # levels after the first
_log = logging.getLogger(__name__)


class Material(NamedTuple):
    """One study, or the part of it that has run."""

    title: str  # the workdir's name
    config: StudyConfig
    replicates: list[range]  # like `environment` and `commands`, those of `Shards`
    environment: dict[str, Any]
    commands: list[list[str]]
    notes: list[str]  # about shards
    runs: list[Run]
    verdict: Verdict
    num_groups: int  # pairs of arm and level that are finished
    num_planned: int  # the same of the whole study
    anatomies: list[Anatomy]  # of the masks of levels after the first
    histograms: dict[int, dict[str, Histogram]]  # of weights, by level and leaf
    analyses: dict[str, analyses.Found]  # results of `lth_jax.analyze`, by name


def judged(
    workdir: Workdir, settings: VerdictConfig | None, parts: Sequence[Workdir] = ()
) -> tuple[shards.Shards, Verdict]:
    """Returns the parts of a study that its verdict needs, and the verdict.

    The arguments and errors are those of `gather`.
    """
    study = shards.read(parts or [workdir])
    verdict = judge(
        study.runs,
        settings or study.config.verdict,
        is_rewound=study.config.rewind.is_rewound,
        correct=study.correct,
    )
    return study, verdict


def gather(
    workdir: Workdir, settings: VerdictConfig | None, parts: Sequence[Workdir] = ()
) -> Material:
    """Reads a workdir, whose study may still be running, or shards of one study.

    If `settings` is None, the verdict follows the config. The title is the workdir's name
    in both cases. Raises what `report.write` does.
    """
    study, verdict = judged(workdir, settings, parts)
    config, runs = study.config, study.runs
    tickets = sorted({run.level for run in runs if run.arm == "ticket" and run.level})
    anatomies = _readable(tickets, lambda level: anatomy(*study.masks(level)))
    return Material(
        title=workdir.root.resolve().name,
        config=config,
        replicates=study.replicates,
        environment=study.environment,
        commands=study.commands,
        notes=study.notes,
        runs=runs,
        verdict=verdict,
        num_groups=len({(run.arm, run.level) for run in runs}),
        num_planned=shards.num_planned(config),
        anatomies=list(anatomies.values()),
        histograms=_readable(
            [0, *levels_that_matter(verdict, tickets, _MOST_HISTOGRAMS)], study.histograms
        ),
        analyses=_analyses(workdir),
    )


def _readable(levels: Sequence[int], read: Callable[[int], T]) -> dict[int, T]:
    """What is read of each level; a damaged file affects only its own figures."""
    found = {}
    for level in levels:
        try:
            found[level] = read(level)
        except (FileNotFoundError, DamagedFile) as error:
            told = "%s; its figures are left out. The study's command makes the file anew"
            _log.warning(told, error)
    return found


def _analyses(workdir: Workdir) -> dict[str, analyses.Found]:
    """The analyses in a workdir; a damaged file affects only its own section."""
    found = {}
    for path in written(workdir.analyses, "*.json"):
        try:
            found[path.stem] = analyses.read(path)
        except (FileNotFoundError, DamagedFile) as error:
            told = (
                "%s; its section is left out. python -m lth_jax.analyze %s makes it again"
            )
            _log.warning(told, error, path.stem)
    return found
