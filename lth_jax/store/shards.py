"""Shards: workdirs that each hold some replicates of a study, read as that study.

Merged shards equal the whole study: a member depends on its own replicate alone.
Everything here is merged in order of replicates. One workdir is one shard.
"""

import dataclasses
import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from lth_jax.config import StudyConfig
from lth_jax.store import correct, environment, histograms, records, tickets
from lth_jax.store.correct import Correct
from lth_jax.store.files import DamagedFile, written
from lth_jax.store.histograms import Histogram
from lth_jax.store.records import RecordsError, Run
from lth_jax.store.workdir import (
    Workdir,
    WorkdirError,
    differing,
    dotted,
    read_config,
    read_environment,
)

# Prefixes of the fields in which shards of a study may differ.
_OWN = (
    "first_replicate",
    "num_replicates",
    "data.raw_dir",
    "log.",
    "members_per_call",
    "mesh.",
)
_log = logging.getLogger(__name__)


class Shards(NamedTuple):
    """A study, or the part that has run: the arms and levels that all shards have."""

    workdirs: list[Workdir]  # in order of replicates
    config: StudyConfig  # the first shard's, with the number of all replicates
    replicates: list[range]  # several if some between are missing
    environment: dict[str, Any]  # by dotted name; a list of values where they differ
    commands: list[list[str]]  # the commands that made the shards
    runs: list[Run]
    correct: dict[tuple[str, int], Correct]
    notes: list[str]  # warnings about the shards; empty for one shard

    def masks(self, level: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """As `tickets.load_masks`, for all replicates; raises what it does."""
        found = [tickets.load_masks(workdir.ticket(level)) for workdir in self.workdirs]
        try:
            return tickets.merged([masks for masks, _ in found]), found[0][1]
        except ValueError as error:
            raise DamagedFile(f"tickets of level {level}: {error}") from None

    def histograms(self, level: int) -> dict[str, Histogram]:
        """As `histograms.load`, for all replicates; raises what it does."""
        paths = [workdir.weight_histograms(level) for workdir in self.workdirs]
        try:
            return histograms.merged([histograms.load(path) for path in paths])
        except ValueError as error:
            raise DamagedFile(f"weights of level {level}: {error}") from None


class _Shard(NamedTuple):
    workdir: Workdir
    config: StudyConfig
    environment: dict[str, Any]
    runs: list[Run]  # empty until the first arm and level is finished


def read(workdirs: Sequence[Workdir]) -> Shards:
    """Returns the study of some shards, or of one workdir; they may still run.

    Logs each of its notes as a warning.

    Raises:
      WorkdirError: if shards belong to different studies, overlap, or were made with
        different data or random numbers. Also if a folder holds no study, or a damaged
        one.
      RecordsError: if records are damaged, or there are none.
    """
    shards = sorted(map(_read_shard, workdirs), key=lambda x: x.config.first_replicate)
    for shard in shards[1:]:
        _check_one_study(shards[0], shard)
    for before, after in itertools.pairwise(shards):
        _check_disjoint(before, after)
    begun = [shard for shard in shards if shard.runs]
    if not begun:
        raise RecordsError(f"{shards[0].workdir.records}: no records")
    replicates = _joined(shard.config.replicates for shard in begun)
    config = dataclasses.replace(
        begun[0].config,
        first_replicate=replicates[0].start,
        num_replicates=sum(map(len, replicates)),
    )
    runs = records.merged([shard.runs for shard in begun])
    answers = [correct.read(shard.workdir.records, shard.runs) for shard in begun]
    noted = [shard.environment for shard in begun]
    notes = list(_notes(shards, replicates)) if len(shards) > 1 else []
    for note in notes:
        _log.warning(note)
    return Shards(
        workdirs=[shard.workdir for shard in begun],
        config=config,
        replicates=replicates,
        environment={
            name: own[0] if len(own) == 1 else own
            for name, own in environment.values(noted).items()
        },
        commands=[own["command"] for own in noted if own.get("command")],
        runs=runs,
        correct=correct.merged(answers),
        notes=notes,
    )


def num_planned(config: StudyConfig) -> int:
    """Returns the number of pairs of arm and level that a study has."""
    return 1 + (config.num_levels - 1) * len(config.arms)


def told(ranges: Iterable[range]) -> str:
    """Returns ranges in words, such as "0 to 4, 7"."""
    ends = (dict.fromkeys((numbers[0], numbers[-1])) for numbers in ranges)
    return ", ".join(" to ".join(map(str, both)) for both in ends)


def _read_shard(workdir: Workdir) -> _Shard:
    config, runs = read_config(workdir), []
    if written(workdir.records, "level_*.csv"):
        runs = records.read(workdir.records)
        there = {run.replicate for run in runs}
        are_own = all(number in config.replicates for number in there)
        if not are_own or len(there) != config.num_replicates:
            raise RecordsError(
                f"{workdir.records}: not of the replicates that {workdir.config} has"
                f" ({told([config.replicates])})"
            )
    return _Shard(workdir, config, dotted(read_environment(workdir)), runs)


def _check_one_study(first: _Shard, shard: _Shard) -> None:
    settings = differing(first.config, shard.config, _OWN)
    decisive = {
        name: (first.environment[name], shard.environment[name])
        for name in environment.DECISIVE
        if name in first.environment and name in shard.environment
    }
    for values, what in (
        (settings, "is no shard of the study"),
        (decisive, "was made with other data or random numbers than that"),
    ):
        fields = [
            f"{n}: {a!r} there, {b!r} here" for n, (a, b) in values.items() if a != b
        ]
        if fields:
            raise WorkdirError(
                f"workdir: {shard.workdir.root} {what} in {first.workdir.root}"
                f" ({'; '.join(fields)})"
            )


def _check_disjoint(before: _Shard, after: _Shard) -> None:
    stop = min(before.config.replicates.stop, after.config.replicates.stop)
    if both := range(after.config.first_replicate, stop):
        raise WorkdirError(
            f"workdir: {before.workdir.root} and {after.workdir.root} overlap; shards"
            f" must not (replicates: {told([both])})"
        )


def _joined(ranges: Iterable[range]) -> list[range]:
    """Joins adjacent ones of increasing ranges."""
    found: list[range] = []
    for numbers in ranges:
        if found and found[-1].stop == numbers.start:
            numbers = range(found.pop().start, numbers.stop)
        found.append(numbers)
    return found


def _notes(shards: Sequence[_Shard], replicates: Sequence[range]) -> Iterator[str]:
    planned = num_planned(shards[0].config)
    done = {shard.workdir.root: len(records.by_group(shard.runs)) for shard in shards}
    if late := [
        f"{root} ({n} of {planned})" for root, n in done.items() if 0 < n < planned
    ]:
        yield (
            f"Of some shards not all arms and levels are finished: {', '.join(late)}."
            " What is said here is of those that all shards have."
        )
    if empty := [str(root) for root, n in done.items() if not n]:
        yield f"Nothing is finished in {', '.join(empty)}; the replicates are left out."
    if gaps := [range(a.stop, b.start) for a, b in itertools.pairwise(replicates)]:
        yield f"Replicates are missing between those that there are: {told(gaps)}."
    found = environment.values([shard.environment for shard in shards])
    if names := [n for n, own in found.items() if n != "command" and len(own) > 1]:
        yield (
            f"The shards ran in different surroundings ({', '.join(names)}); they may"
            " differ from one run of the whole study in the last bits."
        )
