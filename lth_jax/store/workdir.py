"""Workdir: the paths of a study's files, its config and its environment."""

import dataclasses
import json
import pathlib
from typing import Any

from flax.traverse_util import flatten_dict

from lth_jax.config import ConfigError, StudyConfig, parse
from lth_jax.errors import UserError
from lth_jax.store.files import DamagedFile, is_lost, read_sealed


class WorkdirError(UserError):
    """A workdir that cannot be used for this study."""


class Workdir:
    """The paths in a study's folder; only this class knows the file names.

    `init` is the checkpoint of the original inits. `rewind` is that of the dense nets at
    the rewind step, if that is not 0.
    """

    def __init__(self, root: pathlib.Path):
        self.root = root
        self.config = root / "config.json"
        self.environment = root / "environment.json"
        self.records = root / "records"
        self.tickets = root / "tickets"
        self.checkpoints = root / "checkpoints"
        self.init = self.checkpoints / "init"
        self.rewind = self.checkpoints / "rewind"
        self.weights = root / "weights"
        self.table = root / "table.txt"
        self.verdict = root / "verdict.json"
        self.page = root / "report.html"
        self.figures = root / "figures"
        self.drawn = root / "drawn.json"
        self.analyses = root / "analysis"
        self.folders = (self.records, self.tickets, self.weights, self.checkpoints)

    def ticket(self, level: int) -> pathlib.Path:
        """Returns the path of a level's ticket file."""
        return self.tickets / f"level_{level:02d}.npz"

    def weight_histograms(self, level: int) -> pathlib.Path:
        """Returns the path of the tickets' weight histograms at a level."""
        return self.weights / f"level_{level:02d}.npz"

    def side_files(self, level: int) -> list[pathlib.Path]:
        """Returns the files of a level's tickets beside records and checkpoints."""
        return [self.ticket(level), self.weight_histograms(level)]

    def analysis(self, name: str) -> pathlib.Path:
        """Returns the path of an analysis's findings."""
        return self.analyses / f"{name}.json"

    def level(self, level: int) -> pathlib.Path:
        """Returns the path of the tickets' checkpoint at the end of a level."""
        return self.checkpoints / f"level_{level:02d}"

    def pruned_from(self, level: int) -> pathlib.Path:
        """Returns the path of the tickets' checkpoint at `prune.at`, before the end."""
        return self.checkpoints / f"pruned_from_{level:02d}"

    def in_training(self, arm: str, level: int) -> pathlib.Path:
        """Returns the folder of the checkpoints of an arm that trains at a level."""
        return self.checkpoints / f"in_training_{level:02d}-{arm}"

    def all_in_training(self) -> list[pathlib.Path]:
        """Returns all such folders that exist."""
        return sorted(self.checkpoints.glob("in_training_*"))


def read_environment(workdir: Workdir) -> dict[str, Any]:
    """Returns the environment a study began in, with "data_note" (see `Source`), or {}.

    Raises:
      WorkdirError: if its file is damaged or lost.
    """
    path = workdir.environment
    if not path.exists() and is_lost(path):
        raise WorkdirError(f"workdir: {path} is gone; the study's command makes it again")
    return _object(path) if path.exists() else {}


def read_config(workdir: Workdir) -> StudyConfig:
    """Returns the config of a workdir's study.

    Raises:
      WorkdirError: if there is no study, or its config is damaged.
    """
    if not workdir.config.exists():
        told = f"workdir: {workdir.root} holds no study"
        if inside := sorted(workdir.root.glob(f"*/{workdir.config.name}")):
            told += f"; {len(inside)} studies are in it, such as {inside[0].parent}"
        raise WorkdirError(told)
    try:
        return parse(_object(workdir.config))
    except ConfigError as error:
        raise WorkdirError(f"workdir: {workdir.config}: {error}") from None


def _object(path: pathlib.Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        found = json.loads(read_sealed(path))
    except DamagedFile as error:
        raise WorkdirError(f"workdir: {error}") from None
    except ValueError as error:
        raise WorkdirError(f"workdir: {path}: {error}") from None
    if not isinstance(found, dict):
        raise WorkdirError(f"workdir: {path}: {found!r}; must be an object")
    return found


def differing(
    theirs: StudyConfig, ours: StudyConfig, may_differ: tuple[str, ...]
) -> dict[str, tuple[Any, Any]]:
    """Returns both values of each field that differs, by dotted name.

    `may_differ` holds the prefixes of fields that are not compared.
    """
    before, now = (dotted(dataclasses.asdict(x)) for x in (theirs, ours))
    return {
        name: (before[name], now[name])
        for name in sorted(now)
        if before[name] != now[name] and not name.startswith(may_differ)
    }


def dotted(values: dict[str, Any]) -> dict[str, Any]:
    """Returns nested values by their dotted names, such as "prune.fraction"."""
    flat: dict[str, Any] = flatten_dict(values, sep=".")  # type: ignore[no-untyped-call]
    return flat
