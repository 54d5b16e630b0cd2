"""Workdir: where a study's files lie, and what it notes of itself."""

import json
import pathlib
from typing import Any

from lth_jax.config import ConfigError, StudyConfig, parse
from lth_jax.errors import UserError


class WorkdirError(UserError):
    """A workdir that cannot be used for this study."""


class Workdir:
    """The paths in a study's folder; nothing else knows their names."""

    def __init__(self, root: pathlib.Path):
        self.root = root
        self.config = root / "config.json"
        self.environment = root / "environment.json"
        self.records = root / "records"
        self.tickets = root / "tickets"
        self.checkpoints = root / "checkpoints"
        self.weights = root / "weights"
        self.table = root / "table.txt"
        self.verdict = root / "verdict.json"
        self.page = root / "report.html"
        self.figures = root / "figures"

    def ticket(self, level: int) -> pathlib.Path:
        """The ticket file of a level."""
        return self.tickets / f"level_{level:02d}.npz"

    def weight_histograms(self, level: int) -> pathlib.Path:
        """How the tickets' surviving weights are spread at a level."""
        return self.weights / f"level_{level:02d}.npz"

    def level(self, level: int) -> pathlib.Path:
        """The checkpoint of the tickets at the end of a level."""
        return self.checkpoints / f"level_{level:02d}"

    @property
    def init(self) -> pathlib.Path:
        """The checkpoint of the original inits."""
        return self.checkpoints / "init"

    @property
    def rewind(self) -> pathlib.Path:
        """The checkpoint of the dense nets at the rewind step, where that is not 0."""
        return self.checkpoints / "rewind"

    def in_training(self, arm: str, level: int) -> pathlib.Path:
        """The folder of the checkpoints of an arm that trains at a level."""
        return self.checkpoints / f"in_training_{level:02d}-{arm}"

    def all_in_training(self) -> list[pathlib.Path]:
        """All such folders that are there."""
        return sorted(self.checkpoints.glob("in_training_*"))


def read_environment(workdir: Workdir) -> dict[str, Any]:
    """Where a study began, with what; "data_note" is what a reader must know of its data.

    Empty before it begins.

    Raises:
      WorkdirError: if the file that says so is damaged.
    """
    return _object(workdir.environment) if workdir.environment.exists() else {}


def read_config(workdir: Workdir) -> StudyConfig:
    """The config that a workdir's study was begun with.

    Raises:
      WorkdirError: if there is no study, or its config is damaged.
    """
    if not workdir.config.exists():
        raise WorkdirError(f"workdir: {workdir.root} holds no study")
    try:
        return parse(_object(workdir.config))
    except ConfigError as error:
        raise WorkdirError(f"workdir: {workdir.config}: {error}") from None


def _object(path: pathlib.Path) -> dict[str, Any]:
    """What a JSON file holds, if it is an object."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WorkdirError(f"workdir: {path}: {error}") from None
    if not isinstance(found, dict):
        raise WorkdirError(f"workdir: {path}: {found!r}; must be an object")
    return found


def dotted(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by their dotted names, such as "prune.fraction"."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        is_group = isinstance(value, dict)
        flat |= dotted(value, f"{prefix}{name}.") if is_group else {prefix + name: value}
    return flat
