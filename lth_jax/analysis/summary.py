"""Summary: for each level and arm, what the replicates reached, with intervals."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats

from lth_jax.study.records import Run


class Estimate(NamedTuple):
    """A mean over replicates and its 95% interval, mean +- half_width.

    `half_width` is Student's t for independent replicates; NaN with fewer than two.
    """

    mean: float
    half_width: float


class Summary(NamedTuple):
    """One arm at one level; accuracies in [0, 1], all read on the test split.

    Attributes:
      density, weights_left: of all kernels' weights, means over the replicates.
      early_stop_step: the first evaluation with the least validation loss.
      early_stop_accuracy: test accuracy there.
      final_accuracy: test accuracy at the end of the budget.
    """

    arm: str
    level: int
    density: float
    weights_left: int
    num_replicates: int
    early_stop_step: Estimate
    early_stop_accuracy: Estimate
    final_accuracy: Estimate


def early_stop(run: Run) -> tuple[int, float]:
    """Early-stop step and test accuracy there (Frankle & Carbin 2019, appendix C).

    Found afterwards: every run trains its full budget; among equal losses the first.
    """
    validation = run.curves["validation", "loss"]
    at = int(np.argmin(validation.values))
    test = run.curves["test", "accuracy"]
    return int(validation.steps[at]), float(test.values[at])


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95% interval of independent values."""
    n = len(values)
    mean = float(np.mean(values))
    if n < 2:
        return Estimate(mean, math.nan)
    quantile = float(scipy.stats.t.ppf(0.975, n - 1))
    return Estimate(mean, quantile * float(np.std(values, ddof=1)) / math.sqrt(n))


def summarize(runs: Sequence[Run]) -> list[Summary]:
    """Summaries by level, then arm, in the order of the runs."""
    groups: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.level, run.arm), []).append(run)
    return [_summarize(group) for _, group in sorted(groups.items())]


def _summarize(runs: Sequence[Run]) -> Summary:
    stops = [early_stop(run) for run in runs]
    return Summary(
        arm=runs[0].arm,
        level=runs[0].level,
        density=float(np.mean([run.density for run in runs])),
        weights_left=round(
            np.mean([run.curves["mask", "weights_left"].values[0] for run in runs])
        ),
        num_replicates=len(runs),
        early_stop_step=estimate([step for step, _ in stops]),
        early_stop_accuracy=estimate([accuracy for _, accuracy in stops]),
        final_accuracy=estimate(
            [float(run.curves["test", "accuracy"].values[-1]) for run in runs]
        ),
    )
