"""Trackers: logs curves to TensorBoard, Weights & Biases or Trackio.

Each arm at a level is one run. It holds the means over the arm's replicates.
"""

import dataclasses
import importlib
import json
import pathlib
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from lth_jax import devices
from lth_jax.config import StudyConfig
from lth_jax.errors import UserError
from lth_jax.store.files import DamagedFile, read_sealed, write_sealed
from lth_jax.store.workdir import Workdir


class TrackerError(UserError):
    """A tracker that cannot be used."""


class Tracker(Protocol):
    """An open run of a study, such as "ticket/level_01"."""

    def log(self, values: dict[str, float], step: int) -> None:
        """Adds the values of the next step by tag, such as "test/loss"."""

    def finish(self) -> None:
        """Closes the run."""


class _TensorBoard:
    """An event file in tensorboard/ in the workdir, a new one at each start."""

    def __init__(self, study: str, root: pathlib.Path, run: str, config: dict[str, Any]):
        # tensorboardX's SummaryWriter writes in a thread, which a full disk kills. Then
        # its queue fills, and the study waits or never exits. This is the writer inside
        # that thread.
        from tensorboardX.event_file_writer import EventsWriter

        folder = root / "tensorboard" / run
        folder.mkdir(parents=True, exist_ok=True)
        # Its file name has whole seconds: two starts in one second need more.
        self._writer = EventsWriter(str(folder / "events"), f".{time.time_ns()}")
        self._is_begun = False

    def log(self, values: dict[str, float], step: int) -> None:
        """Adds values; TensorBoard drops older values from the first step on."""
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.proto.summary_pb2 import Summary

        def write(**content: Any) -> None:
            self._writer.write_event(Event(wall_time=time.time(), step=step, **content))

        if not self._is_begun:
            write(session_log=SessionLog(status=SessionLog.START))
            self._is_begun = True
        scalars = [Summary.Value(tag=t, simple_value=x) for t, x in values.items()]
        write(summary=Summary(value=scalars))
        self._writer.flush()

    def finish(self) -> None:
        self._writer.close()


def _wandb(study: str, root: pathlib.Path, run: str, config: dict[str, Any]) -> Any:
    """A run of project "lth_jax"; of two values for a step it keeps the first."""
    import wandb

    return wandb.init(
        project="lth_jax",
        group=study,
        name=run,
        # Without the workdir's name, which may hold characters that an id must not.
        id=f"{study[-8:]}-{run.replace('/', '-')}",
        config=config,
        dir=str(root),
        resume="allow",
        reinit="create_new",  # beside other open runs
    )


def _trackio(study: str, root: pathlib.Path, run: str, config: dict[str, Any]) -> Any:
    """A run of project "lth_jax", beside other open runs."""
    import trackio

    name = f"{study}/{run}"
    return trackio.init(
        project="lth_jax", name=name, group=study, config=config, resume="allow"
    )


# By the field of `log`, which is also the extra's name: the package that it needs, and
# the function that opens or resumes a run. It takes the study's name, its workdir, the
# run's name and the study's config.
_TRACKERS: dict[str, tuple[str, Callable[..., Tracker]]] = {
    "tensorboard": ("tensorboardX", _TensorBoard),
    "wandb": ("wandb", _wandb),
    "trackio": ("trackio", _trackio),
}


def check(config: StudyConfig) -> None:
    """Checks that the packages of the study's trackers are installed.

    Raises:
      TrackerError: if one is missing; it says how to install the package.
    """
    for name, (package, _) in _TRACKERS.items():
        try:
            if getattr(config.log, name):
                importlib.import_module(package)
        except ImportError as error:
            raise TrackerError(
                f'log.{name}: True needs {package} ({error}); pip install -e ".[{name}]"'
            ) from None


class Trackers:
    """The runs of a study in every tracker that its config names; opened at first use.

    trackers.json notes what is logged. Each step is therefore logged once, even if a
    segment is trained again after a kill. Raises TrackerError, as `check` does.
    """

    def __init__(self, config: StudyConfig, workdir: Workdir):
        check(config)
        self._names = [name for name in _TRACKERS if getattr(config.log, name)]
        self._config = dataclasses.asdict(config)
        self._root = workdir.root
        self._open: dict[tuple[str, str], Tracker] = {}

    @devices.by_first
    def write(
        self, arm: str, level: int, steps: Sequence[int], curves: Mapping[str, np.ndarray]
    ) -> None:
        """Logs the new values, and finishes the run at its last step.

        `steps` are those of all V evaluations, increasing. `curves` are float[R, V], of R
        replicates, by tags such as "test/loss". They are NaN at steps not yet evaluated.

        Raises:
          TrackerError: if a run cannot be opened, or trackers.json is damaged.
          OSError: if an event file cannot be written.
        """
        if not self._names:
            return
        run, path = f"{arm}/level_{level:02d}", self._root / "trackers.json"
        note = _read_note(path)
        study = note.setdefault("study", f"{self._root.name}-{uuid.uuid4().hex[:8]}")
        means = {tag: np.asarray(x).mean(axis=0) for tag, x in curves.items()}
        found = {
            step: {tag: float(x[v]) for tag, x in means.items() if not np.isnan(x[v])}
            for v, step in enumerate(steps)
        }
        points = {step: values for step, values in found.items() if values}
        for name in self._names:
            noted = note.setdefault(name, {})
            for step in [step for step in points if step > noted.get(run, -1)]:
                self._tracker(name, run, study).log(points[step], step=step)
                noted[run] = step
        write_sealed(path, json.dumps(note, indent=1).encode())
        if steps[-1] in points:
            for key in [key for key in self._open if key[1] == run]:
                self._open.pop(key).finish()

    def close(self) -> None:
        """Finishes all open runs."""
        while self._open:
            self._open.popitem()[1].finish()

    def _tracker(self, name: str, run: str, study: str) -> Tracker:
        if (name, run) not in self._open:
            start = _TRACKERS[name][1]
            try:
                self._open[name, run] = start(study, self._root, run, self._config)
            except OSError:
                raise
            except Exception as error:  # such as no login; each package has its own types
                raise TrackerError(f"log.{name}: True; {error}") from error
        return self._open[name, run]


def _read_note(path: pathlib.Path) -> dict[str, Any]:
    """The steps already logged; {} if there are none."""
    if not path.exists():
        return {}
    try:
        note: dict[str, Any] = json.loads(read_sealed(path))
    except DamagedFile as error:
        told = "delete both, and what trains is logged from its start"
        raise TrackerError(f"{error}; {told}") from None
    return note
