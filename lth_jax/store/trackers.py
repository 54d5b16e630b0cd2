"""Trackers: what is measured, for TensorBoard, Weights & Biases or Trackio to show.

Each arm at a level is one run, of the means over its replicates.
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

from lth_jax.config import StudyConfig
from lth_jax.errors import UserError
from lth_jax.store.files import whole
from lth_jax.store.workdir import Workdir

Points = dict[int, dict[str, float]]  # by step, by tag such as "test/loss"


class TrackerError(UserError):
    """A tracker that cannot be used."""


class Tracker(Protocol):
    """One run of a study that is shown elsewhere."""

    def start(self, run: str, config: dict[str, Any]) -> None:
        """Opens the run, new or begun before, such as "ticket/level_01"."""

    def log(self, points: Points) -> None:
        """Adds points of increasing steps; afterwards they can be seen."""

    def finish(self) -> None:
        """Closes the run."""


class TensorBoard:
    """An event file in tensorboard/ in the workdir, a new one at each start."""

    def __init__(self, study: str, root: pathlib.Path):
        self._root = root

    def start(self, run: str, config: dict[str, Any]) -> None:
        """Opens the run's event file."""
        # tensorboardX's SummaryWriter writes in a thread, which dies of a full disk;
        # then the queue in front of it fills, and the study waits or never exits. This
        # is the writer inside that thread.
        from tensorboardX.event_file_writer import EventsWriter

        folder = self._root / "tensorboard" / run
        folder.mkdir(parents=True, exist_ok=True)
        # Its file name has whole seconds, too few to tell two starts apart.
        self._writer = EventsWriter(str(folder / "events"), f".{time.time_ns()}")
        self._is_begun = False

    def log(self, points: Points) -> None:
        """Adds points; TensorBoard drops older ones from their first step on."""
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.proto.summary_pb2 import Summary

        def write(step: int, **content: Any) -> None:
            self._writer.write_event(Event(wall_time=time.time(), step=step, **content))

        if not self._is_begun:
            write(min(points), session_log=SessionLog(status=SessionLog.START))
            self._is_begun = True
        for step, values in points.items():
            scalars = [Summary.Value(tag=t, simple_value=x) for t, x in values.items()]
            write(step, summary=Summary(value=scalars))
        self._writer.flush()

    def finish(self) -> None:
        """Closes the file."""
        self._writer.close()


class WandB:
    """A run of project "lth_jax" in Weights & Biases, in a group of the study's."""

    def __init__(self, study: str, root: pathlib.Path):
        self._study, self._root = study, root

    def start(self, run: str, config: dict[str, Any]) -> None:
        """Opens the run, beside others that are open."""
        import wandb

        self._run: Any = wandb.init(
            project="lth_jax",
            group=self._study,
            name=run,
            # Without the workdir's name, which may have what an id must not.
            id=f"{self._study[-8:]}-{run.replace('/', '-')}",
            config=config,
            dir=str(self._root),
            resume="allow",
            reinit="create_new",
        )

    def log(self, points: Points) -> None:
        """Adds points; of steps that it has, it keeps the first."""
        for step, values in points.items():
            self._run.log(values, step=step)

    def finish(self) -> None:
        """Closes the run."""
        self._run.finish()


class Trackio:
    """A run of project "lth_jax" in Trackio, in a group of the study's."""

    def __init__(self, study: str, root: pathlib.Path):
        self._study = study

    def start(self, run: str, config: dict[str, Any]) -> None:
        """Opens the run, beside others that are open."""
        import trackio

        self._run: Any = trackio.init(
            project="lth_jax",
            name=f"{self._study}/{run}",
            group=self._study,
            config=config,
            resume="allow",
        )

    def log(self, points: Points) -> None:
        """Adds points."""
        for step, values in points.items():
            self._run.log(values, step=step)

    def finish(self) -> None:
        """Closes the run."""
        self._run.finish()


# By the field of `log`, which is also the extra: what it needs, and what it is.
_TRACKERS: dict[str, tuple[str, Callable[[str, pathlib.Path], Tracker]]] = {
    "tensorboard": ("tensorboardX", TensorBoard),
    "wandb": ("wandb", WandB),
    "trackio": ("trackio", Trackio),
}


def check(config: StudyConfig) -> None:
    """Checks that the packages of the study's trackers are there.

    Raises:
      TrackerError: saying how to install one.
    """
    for name, (package, _) in _TRACKERS.items():
        if not getattr(config.log, name):
            continue
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise TrackerError(
                f'log.{name}: True needs {package} ({error}); pip install -e ".[{name}]"'
            ) from None


class Trackers:
    """The runs of a study in every tracker that its config names.

    What is logged is noted in trackers.json, so that each step is logged once, though
    segments are trained again after a kill.
    """

    def __init__(self, config: StudyConfig, workdir: Workdir):
        self._names = [name for name in _TRACKERS if getattr(config.log, name)]
        self._config = dataclasses.asdict(config)
        self._root = workdir.root
        self._open: dict[tuple[str, str], Tracker] = {}

    def write(
        self,
        arm: str,
        level: int,
        steps: Sequence[int],
        curves_by_tag: Mapping[str, np.ndarray],
    ) -> None:
        """Logs what is new, and finishes the run at its last step.

        Args:
          arm: whose.
          level: which.
          steps: of all V evaluations, increasing.
          curves_by_tag: float[R, V] of the R replicates, such as "test/loss"; NaN where
            nothing is evaluated yet.

        Raises:
          TrackerError: if a run cannot be opened.
          OSError: if an event file cannot be written.
        """
        if not self._names:
            return
        run, path = f"{arm}/level_{level:02d}", self._root / "trackers.json"
        note = json.loads(path.read_text()) if path.exists() else {}
        study = note.setdefault("study", f"{self._root.name}-{uuid.uuid4().hex[:8]}")
        points = _means(steps, curves_by_tag)
        for name in self._names:
            last = note.setdefault(name, {}).get(run, -1)
            new = {step: values for step, values in points.items() if step > last}
            if new:
                self._tracker(name, run, study).log(new)
                note[name][run] = max(new)
        with whole(path) as unfinished:
            unfinished.write_text(json.dumps(note, indent=1))
        if steps[-1] in points:
            for key in [key for key in self._open if key[1] == run]:
                self._open.pop(key).finish()

    def close(self) -> None:
        """Finishes the runs that are open."""
        while self._open:
            self._open.popitem()[1].finish()

    def _tracker(self, name: str, run: str, study: str) -> Tracker:
        if (name, run) not in self._open:
            tracker = _TRACKERS[name][1](study, self._root)
            try:
                tracker.start(run, self._config)
            except OSError:
                raise
            except Exception as error:  # such as no login: of whatever type it has there
                raise TrackerError(f"log.{name}: True; {error}") from error
            self._open[name, run] = tracker
        return self._open[name, run]


def open_trackers(config: StudyConfig, workdir: Workdir) -> Trackers:
    """The study's trackers, for a `with contextlib.closing(...)`; opens no run yet.

    Raises:
      TrackerError: as `check`.
    """
    check(config)
    return Trackers(config, workdir)


def _means(steps: Sequence[int], curves_by_tag: Mapping[str, np.ndarray]) -> Points:
    """Means over the replicates, without those that are NaN."""
    means = {tag: np.asarray(x).mean(axis=0) for tag, x in curves_by_tag.items()}
    found: Points = {}
    for v, step in enumerate(steps):
        values = {t: float(x[v]) for t, x in means.items() if not np.isnan(x[v])}
        if values:
            found[step] = values
    return found
