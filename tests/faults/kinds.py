"""Kinds: all that can be tried, and how a process of its own tries it."""

import functools
import importlib
import pathlib
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from faults.outcomes import Case, Outcome, Trial
from faults.readers import READERS, fuzzer
from faults.study import Bench
from faults.switches import NUM_SWITCHES


class Kind(NamedTuple):
    """What is tried, how often by default, and by what."""

    title: str
    option: str  # of the command line, which says how often
    make: Callable[[Bench, pathlib.Path], Callable[[Case], Trial]]
    batch: int = 1  # cases that a process tries before another may
    each: int = 1  # of what the option counts, in a case
    most: int | None = None  # cases, where there are no more


class Batch(NamedTuple):
    """What came of some cases of a kind."""

    outcomes: Counter[Outcome]
    short: list[tuple[Case, Trial]]


def _of(module: str, name: str, method: str):
    """What tries a case: a method of what a module makes of a bench and a folder."""

    def make(bench: Bench, folder: pathlib.Path) -> Callable[[Case], Trial]:
        made = getattr(importlib.import_module(f"faults.{module}"), name)
        return getattr(made(bench, folder), method)

    return make


KINDS = {
    "kills": Kind(
        "killed at random instants", "kills", _of("kills", "Killer", "kill"), each=2
    ),
    "signals": Kind(
        "interrupted by signals", "signals", _of("kills", "Killer", "signal")
    ),
    "lost": Kind(
        "one of two processes killed", "several", _of("several", "Several", "kill")
    ),
    "preempted": Kind(
        "one of two processes sent a signal",
        "several",
        _of("several", "Several", "signal"),
    ),
    "damaged": Kind(
        "files damaged", "damaged", _of("damaged", "Damager", "damage"), batch=10
    ),
    "full-disk": Kind("disk full", "disks", _of("disks", "Disks", "fill")),
    "file-size": Kind("file-size limit", "disks", _of("disks", "Disks", "limit")),
    "writers": Kind(
        "two writers at once", "together", _of("company", "Company", "write")
    ),
    "reports": Kind("reports at once", "together", _of("company", "Company", "report")),
    "switches": Kind(
        "settings and terminals",
        "switches",
        _of("switches", "Switches", "turn"),
        most=NUM_SWITCHES,
    ),
    **{
        f"read-{name}": Kind(
            f"fuzzed: {title}", "inputs", functools.partial(fuzzer, name), batch=500
        )
        for name, (title, _) in READERS.items()
    },
}


def make_bench(folder: str) -> None:
    """Makes what all kinds do harm to copies of."""
    from faults import bench

    bench.make(pathlib.Path(folder))


def attempt(folder: str, kind: str, seed: int, numbers: range) -> Batch:
    """Tries cases of a kind in this process."""
    outcomes: Counter[Outcome] = Counter()
    short = []
    for number in numbers:
        case = Case(kind, seed, number)
        try:
            trial = _tries(folder, kind)(case)
        except Exception as error:  # no case may end the others
            where = traceback.extract_tb(error.__traceback__)[-1]
            told = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
            trial = Trial(Outcome.FELL_SHORT, "the harness", told)
        outcomes[trial.outcome] += 1
        if trial.outcome == Outcome.FELL_SHORT:
            short.append((case, trial))
    return Batch(outcomes, short)


@functools.cache
def _tries(folder: str, kind: str) -> Callable[[Case], Trial]:
    own = pathlib.Path(tempfile.mkdtemp(dir=folder, prefix="process-"))
    return KINDS[kind].make(Bench(pathlib.Path(folder)), own)
