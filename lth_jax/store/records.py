"""Records: tidy rows of all measurements, one CSV file for each arm and level.

Columns: arm, replicate, level, density, step, split, metric, value. Accuracies and
densities are in [0, 1], losses in their own unit. Values are float32, and read back
exactly. One pandas call reads all files of a study: `pd.concat(map(pd.read_csv,
sorted(glob("runs/mnist1d/records/*.csv"))))`. Beside each file lies its SHA-256. A file
that does not match it is never read.
"""

import csv
import io
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from lth_jax.errors import UserError
from lth_jax.store.files import DamagedFile, read_sealed, write_sealed, written

COLUMNS = ("arm", "replicate", "level", "density", "step", "split", "metric", "value")


class RecordsError(UserError):
    """Records that are missing or damaged."""


class Curve(NamedTuple):
    """One metric of one split over training: steps int64[V], values [V]."""

    steps: np.ndarray
    values: np.ndarray


class Run(NamedTuple):
    """The measurements of one member.

    Curves are by (split, metric), such as ("validation", "loss"). ("train", "batch_loss")
    is the mean over the batches since the previous evaluation. Some curves have one step.
    ("train", "loss") and ("train", "accuracy") have the last. ("test",
    "early_stop_accuracy") has the early-stop step. ("test", "start_accuracy") has the
    first, before training. ("mask", "weights_left") has the step from which the mask
    keeps that number of weights: the first, except under gradual pruning. ("mask",
    "early_bird_distance") has the step that `prune.at` = "early_bird" finds.
    """

    arm: str
    replicate: int
    level: int
    density: float  # P_m of its mask, in [0, 1]; of the last mask if it changes
    curves: dict[tuple[str, str], Curve]


def path_of(folder: pathlib.Path, arm: str, level: int) -> pathlib.Path:
    """Returns the path of the file of one arm at one level."""
    return folder / f"level_{level:02d}-{arm}.csv"


def write(path: pathlib.Path, runs: Iterable[Run]) -> None:
    """Writes the runs of one arm and level; the file appears whole."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for *head, curves in runs:
        for (split, metric), curve in curves.items():
            for step, value in zip(*curve, strict=True):
                # str of a NumPy scalar is the shortest text that reads back exactly.
                writer.writerow((*head, step, split, metric, str(value)))
    write_sealed(path, text.getvalue().encode())


def read(folder: pathlib.Path) -> list[Run]:
    """Returns all runs, by level, arm and replicate.

    Raises:
      RecordsError: if there are none, or a file is damaged or cut short; it names the
        file.
    """
    files = {path: read_file(path) for path in written(folder, "level_*.csv")}
    if not files:
        raise RecordsError(f"{folder}: no records")
    found = [run for runs in files.values() for run in runs]
    everyone = {run.replicate for run in found}
    for path, runs in files.items():
        names = {path_of(folder, run.arm, run.level).name for run in runs}
        if names - {path.name}:
            raise RecordsError(
                f"{path}: holds what {', '.join(names)} should; move it away"
            )
        shapes = {tuple((k, c.steps.size) for k, c in run.curves.items()) for run in runs}
        if {run.replicate for run in runs} != everyone or len(shapes) != 1:
            raise RecordsError(
                f"{path}: cut short; delete it, and the study's command makes it again"
            )
    # An arm's levels are consecutive; the ticket's first is the dense net.
    levels = dict.fromkeys((run.arm, run.level) for run in found)
    for arm, last in [("ticket", 0), *levels]:
        for level in range(0 if arm == "ticket" else 1, last + 1):
            if (path := path_of(folder, arm, level)) not in files:
                raise RecordsError(f"{path}: missing; the study's command makes it again")
    return found


def by_group(runs: Iterable[Run]) -> dict[tuple[str, int], list[Run]]:
    """Returns the runs by arm and level, in their order."""
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.arm, run.level), []).append(run)
    return groups


def merged(shards: Sequence[Sequence[Run]]) -> list[Run]:
    """Returns a study's runs from those of its shards, given in order of replicates.

    The runs are of the arms and levels that all shards have, in the order of `read`.

    Raises:
      RecordsError: if the shards measured different metrics, or at different steps.
    """
    groups = [by_group(runs) for runs in shards]
    found = []
    for key in groups[0]:
        if all(key in group for group in groups):
            parts = [group[key] for group in groups]
            if any(_measured(part) != _measured(parts[0]) for part in parts):
                told = f"arm {key[0]}, level {key[1]}: measured otherwise in other shards"
                raise RecordsError(f"{told}; they are not of one study")
            found += [run for part in parts for run in part]
    return found


def _measured(runs: Sequence[Run]) -> list[tuple[tuple[str, str], list[int]]]:
    """The metrics that all runs of a group measured, with the steps of longer curves."""
    curves = runs[0].curves.items()
    return [(key, x.steps.tolist() if x.steps.size > 1 else []) for key, x in curves]


def read_file(path: pathlib.Path) -> list[Run]:
    """Returns the runs of one arm and level, by replicate.

    Raises:
      RecordsError: if the file is missing or damaged; it names the file.
    """
    runs: dict[int, Run] = {}
    points: dict[tuple[int, str, str], list[tuple[np.int64, float]]] = {}
    try:
        reader = csv.reader(io.StringIO(read_sealed(path).decode()))
    except FileNotFoundError:  # only its SHA-256 is there
        raise RecordsError(
            f"{path}: missing; the study's command makes it again"
        ) from None
    except (DamagedFile, UnicodeDecodeError) as error:
        raise RecordsError(f"{error}; the study's command makes it again") from None
    try:
        if tuple(next(reader, ())) != COLUMNS:
            raise RecordsError(f"{path}: line 1; must be {','.join(COLUMNS)}")
        for arm, replicate, level, density, step, split, metric, value in reader:
            run = Run(arm, int(replicate), int(level), float(density), {})
            runs.setdefault(run.replicate, run)
            curve = points.setdefault((run.replicate, split, metric), [])
            curve.append((np.int64(step), float(value)))
    except (ValueError, OverflowError, csv.Error):
        raise RecordsError(
            f"{path}: line {reader.line_num} is damaged; delete the file, and the"
            " study's command makes it again"
        ) from None
    for (number, split, metric), pairs in points.items():
        steps, values = zip(*pairs, strict=True)
        runs[number].curves[split, metric] = Curve(np.array(steps), np.array(values))
    return list(runs.values())
