"""Workdir: where a study's files lie, and whose it is."""

import contextlib
import dataclasses
import fcntl
import importlib.metadata
import json
import logging
import pathlib
import platform
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jax

from lth_jax.config import ConfigError, StudyConfig, parse
from lth_jax.errors import UserError
from lth_jax.store.files import whole

# Where the bytes are read from, how many nets share a call, what can be watched and how
# results are judged is no part of what the study is.
_MAY_DIFFER = frozenset(
    {
        "data.raw_dir",
        "log.tensorboard",
        "log.trackio",
        "log.wandb",
        "members_per_call",
        "verdict.accuracy_margin",
        "verdict.claims",
        "verdict.loss_margin",
    }
)
_PACKAGES = ("lth_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
_log = logging.getLogger(__name__)


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

    def scalars(self, arm: str, level: int) -> pathlib.Path:
        """The folder of the TensorBoard run of one arm at one level."""
        return self.root / "tensorboard" / arm / f"level_{level:02d}"

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


@contextlib.contextmanager
def opened(
    root: pathlib.Path, config: StudyConfig, data_note: str | None = None
) -> Iterator[Workdir]:
    """Makes the workdir, or goes on in one of the same study; locked meanwhile.

    Args:
      root: where.
      config: the study's.
      data_note: the data's (see `Source`); the same whenever the study goes on.

    Raises:
      WorkdirError: if it cannot be written, belongs to another study (naming the
        fields that differ) or to one of other data, is no study's, or another process
        is using it.
    """
    workdir = Workdir(root)
    check(workdir, config)
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / ".lock").open("w")
    except OSError as error:
        raise WorkdirError(f"workdir: {root} cannot be written ({error})") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkdirError(
                f"workdir: {root} is in use by another process; wait, or choose another"
                " with --workdir"
            ) from None
        check(workdir, config)  # again: another process may have been faster
        _claim(workdir, config)
        check_same_data(workdir, data_note)
        _note_environment(workdir, data_note)
        yield workdir


def check(workdir: Workdir, config: StudyConfig) -> None:
    """Checks that a workdir can be this study's; writes nothing.

    Raises:
      WorkdirError: if it belongs to another study, or is no study's.
    """
    root = workdir.root
    if workdir.config.exists():
        theirs = read_config(workdir)  # of an older study too, with today's defaults
        _check_same(root, _flat(_plain(config)), _flat(_plain(theirs)))
    elif root.exists() and not root.is_dir():
        raise WorkdirError(f"workdir: {root} is not a folder")
    elif root.exists() and any(not p.name.startswith(".") for p in root.iterdir()):
        raise WorkdirError(
            f"workdir: {root} is not empty and holds no study; choose another with"
            " --workdir"
        )


def check_same_data(workdir: Workdir, data_note: str | None) -> None:
    """Checks that a study, if it began, did so with these data.

    Raises:
      WorkdirError: if it has others, by what must be known of them (see `Source`).
    """
    theirs = read_environment(workdir).get("data_note")
    if workdir.environment.exists() and data_note != theirs:
        raise WorkdirError(
            f"workdir: {workdir.root} was made with other data (data_note: {theirs!r}"
            f" there, {data_note!r} now); choose another with --workdir"
        )


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


def _claim(workdir: Workdir, config: StudyConfig) -> None:
    if not workdir.config.exists():  # first of all: it marks the folder as a study's
        with whole(workdir.config) as path:
            path.write_text(json.dumps(_plain(config), indent=2) + "\n")
    for folder in (
        workdir.records,
        workdir.tickets,
        workdir.weights,
        workdir.checkpoints,
    ):
        folder.mkdir(exist_ok=True)


def _plain(config: StudyConfig) -> dict[str, Any]:
    """The config as JSON has it: tuples as lists."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain


def _check_same(root: pathlib.Path, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    differing = [
        f"{name}: {theirs.get(name)!r} there, {ours.get(name)!r} now"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name) and name not in _MAY_DIFFER
    ]
    if differing:
        raise WorkdirError(
            f"workdir: {root} was made with another config ({'; '.join(differing)});"
            " choose another with --workdir"
        )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _note_environment(workdir: Workdir, data_note: str | None) -> None:
    """Writes where the study runs; warns where a resumed one ran elsewhere."""
    device = jax.devices()[0]
    now = {
        **software(),
        "machine": platform.machine(),
        "backend": jax.default_backend(),
        "device": device.device_kind,
        "num_devices": jax.device_count(),
        "data_note": data_note,
    }
    if workdir.environment.exists():
        before = _flat(read_environment(workdir))
        after = _flat(now)
        changed = [name for name in after if after[name] != before.get(name)]
        if changed:
            _log.warning(
                "the study began elsewhere: %s; what is still to run may differ from an"
                " uninterrupted run in the last bits",
                "; ".join(f"{n} was {before.get(n)}, is {after[n]}" for n in changed),
            )
        return
    with whole(workdir.environment) as path:
        path.write_text(json.dumps({**now, "command": sys.argv}, indent=2) + "\n")


def software() -> dict[str, Any]:
    """Versions of what computes, and the commit of this package's checkout."""
    return {
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The commit of the package's checkout; None where git does not track it."""
    here = pathlib.Path(__file__)
    git = ["git", "-C", str(here.parent)]
    describe = ["describe", "--always", "--exclude=*", "--abbrev=40", "--dirty"]
    try:
        for arguments in (["ls-files", "--error-unmatch", here.name], describe):
            found = subprocess.run(
                git + arguments, capture_output=True, text=True, check=True
            )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
