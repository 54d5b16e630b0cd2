"""Material: all that a report is made of, read from a workdir."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from lth_jax.analysis.anatomy import Anatomy, anatomy
from lth_jax.analysis.learning import spread
from lth_jax.analysis.verdict import Verdict, judge
from lth_jax.config import StudyConfig, VerdictConfig
from lth_jax.store import correct, records
from lth_jax.store import histograms as weight_histograms
from lth_jax.store.files import DamagedFile
from lth_jax.store.histograms import Histogram
from lth_jax.store.records import Run
from lth_jax.store.workdir import Workdir, read_config, read_environment

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Material(NamedTuple):
    """One study, or so much of it as has run."""

    title: str  # the workdir's name
    config: StudyConfig
    environment: dict[str, Any]  # as the study noted it
    runs: list[Run]
    verdict: Verdict
    num_groups: int  # arms and levels that are finished
    num_planned: int  # of the whole study
    anatomies: list[Anatomy]  # of the masks of levels after the first
    histograms: dict[int, dict[str, Histogram]]  # of weights, by level and leaf


def gather(workdir: Workdir, settings: VerdictConfig | None) -> Material:
    """Reads a workdir, whose study may still run; the config's own settings if None.

    Raises what `report.write` does.
    """
    config = read_config(workdir)
    runs = records.read(workdir.records)
    tickets = sorted({run.level for run in runs if run.arm == "ticket" and run.level})
    anatomies = _readable(tickets, lambda level: anatomy(workdir.ticket(level)))
    histograms = _readable(
        spread([0, *tickets], 3),
        lambda level: weight_histograms.load(workdir.weight_histograms(level)),
    )
    return Material(
        title=workdir.root.resolve().name,
        config=config,
        environment=read_environment(workdir),
        runs=runs,
        verdict=judge(
            runs,
            settings or config.verdict,
            is_rewound=config.rewind.is_rewound,
            correct=correct.read(workdir.records, runs),
        ),
        num_groups=len({(run.arm, run.level) for run in runs}),
        num_planned=1 + (config.num_levels - 1) * len(config.arms),
        anatomies=list(anatomies.values()),
        histograms=histograms,
    )


def _readable(levels: Sequence[int], read: Callable[[int], T]) -> dict[int, T]:
    """What is read of each level; a file that is damaged costs its own figure alone."""
    found = {}
    for level in levels:
        try:
            found[level] = read(level)
        except (FileNotFoundError, DamagedFile) as error:
            told = (
                "%s; its figures are left out. The study's command makes the file again"
            )
            _log.warning(told, error)
    return found
