"""Scalars: what is measured, for TensorBoard to show while a study trains."""

import contextlib
import pathlib
import time
from collections.abc import Sequence

import numpy as np

from lth_jax.config import StudyConfig
from lth_jax.errors import UserError
from lth_jax.store.workdir import Workdir
from lth_jax.study.plan import Call
from lth_jax.training.segment import Curves


class ScalarsError(UserError):
    """Scalars that cannot be written."""


def check(config: StudyConfig) -> None:
    """Checks that what a study writes scalars with is there, if it writes any.

    Raises:
      ScalarsError: saying how to install it.
    """
    if config.log.tensorboard:
        try:
            import tensorboardX  # noqa: F401
        except ImportError as error:
            raise ScalarsError(
                f"log.tensorboard: True needs tensorboardX ({error});"
                ' pip install -e ".[tensorboard]"'
            ) from None


class Scalars:
    """Writes means over the replicates: TensorBoard draws one line a run, here a group.

    What was trained with `log.tensorboard` off is not there.

    Raises:
      ScalarsError: as `check`.
    """

    def __init__(self, config: StudyConfig, workdir: Workdir):
        check(config)
        self._is_on = config.log.tensorboard
        self._workdir = workdir

    def write(self, call: Call, steps: Sequence[int], curves: Curves, since: int) -> None:
        """Writes what was evaluated in a segment, if it is to be.

        Args:
          call: G groups of R replicates.
          steps: of all V evaluations.
          curves: float32[G * R, V] arrays, NaN where still to come.
          since: the step at which the segment began.
        """
        if not self._is_on:
            return
        all_steps = np.array(steps)
        is_new = (all_steps > since) & ~np.isnan(curves.validation["loss"][0])
        new_steps: list[int] = all_steps[is_new].tolist()
        means = {
            tag: values[:, is_new].reshape(len(call), -1, len(new_steps)).mean(axis=1)
            for tag, values in _by_tag(curves).items()
        }
        for g, group in enumerate(call):
            mine = {tag: values[g] for tag, values in means.items()}
            _write_events(self._workdir.scalars(*group), new_steps, mine)


def _by_tag(curves: Curves) -> dict[str, np.ndarray]:
    tags = {"train/batch_loss": np.asarray(curves.batch_loss)}
    for split in ("validation", "test"):
        for metric, values in getattr(curves, split).items():
            tags[f"{split}/{metric}"] = np.asarray(values)
    return tags


def _write_events(
    folder: pathlib.Path, steps: list[int], values: dict[str, np.ndarray]
) -> None:
    """Writes the event file of a segment, at steps [V] values [V] by tag."""
    # Not tensorboardX's SummaryWriter: its thread dies of a full disk, and then the study
    # waits for it for ever.
    from tensorboardX import RecordWriter
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    now = time.time()
    events = [Event(wall_time=now, file_version="brain.Event:2")]
    for v, step in enumerate(steps):
        scalars = [
            Summary.Value(tag=tag, simple_value=float(x[v])) for tag, x in values.items()
        ]
        events.append(Event(wall_time=now, step=step, summary=Summary(value=scalars)))
    folder.mkdir(parents=True, exist_ok=True)
    # Named by its last step, a segment that is trained again replaces its own file. So
    # each step is there once, and a TensorBoard that looks on does not lose its place.
    path = folder / f"events.out.tfevents.{steps[-1]:09d}"
    with contextlib.closing(RecordWriter(str(path))) as writer:
        for event in events:
            writer.write(event.SerializeToString())


class Trackers:
    def write(self, *a, **k):
        pass


def open_trackers(config, workdir):
    return Trackers()
