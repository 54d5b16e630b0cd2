"""Learning: training curves, averaged over the replicates."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from lth_jax.analysis.intervals import Estimate, mean
from lth_jax.analysis.metric import Metric
from lth_jax.store.records import Run

_T = TypeVar("_T")
_MOST_POINTS = 150  # a panel cannot show more


class LearningCurve(NamedTuple):
    """One metric over training, of one arm at one level, averaged over replicates."""

    arm: str
    level: int
    density: float
    steps: np.ndarray  # int64[V], evenly spaced, at most 150, the last included
    estimates: list[Estimate]  # one for each step


def learning_curves(
    runs: Sequence[Run], levels: Sequence[int], split: str, metric: Metric
) -> list[LearningCurve]:
    """Returns the curves of all arms at some levels, by level, the ticket first."""

    def place(run: Run) -> tuple[int, bool, str]:
        return run.level, run.arm != "ticket", run.arm

    chosen = sorted((run for run in runs if run.level in levels), key=place)
    found = []
    for (level, _, arm), group in itertools.groupby(chosen, key=place):
        mine = list(group)
        curves = [run.curves[split, metric.name] for run in mine]
        values = np.stack([curve.values for curve in curves])
        stride = -(-values.shape[1] // _MOST_POINTS)
        at = np.arange(values.shape[1] - 1, -1, -stride)[::-1]
        density = float(np.mean([run.density for run in mine]))
        estimates = [mean(values[:, i], bounds=metric.bounds) for i in at]
        found.append(LearningCurve(arm, level, density, curves[0].steps[at], estimates))
    return found


def spread(items: Sequence[_T], most: int) -> list[_T]:
    """Returns at most `most` items, evenly spaced, with the first and the last."""
    if len(items) <= most:
        return list(items)
    chosen = np.linspace(0, len(items) - 1, most).round().astype(int)
    return [items[i] for i in chosen]
