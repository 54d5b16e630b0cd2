"""Outcomes: what the replicates of an arm reached at a level, read off their curves."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lth_jax.store.records import RecordsError, Run

DENSE = ("ticket", 0)  # the arm and level of the dense nets


class Outcome(NamedTuple):
    """One arm at one level; float64[R] arrays over the replicates, in their order.

    Attributes:
      arm, level: which.
      density, weights_left: of all kernels' weights, means over the replicates.
      early_stop_step: the first evaluation with the least validation loss.
      early_stop_accuracy: test accuracy there, in [0, 1].
      final_accuracy, final_train_accuracy: at the end of the budget.
      num_still_improving: replicates whose early stop is their last evaluation, so
        that a larger budget might have moved it.
    """

    arm: str
    level: int
    density: float
    weights_left: int
    early_stop_step: np.ndarray
    early_stop_accuracy: np.ndarray
    final_accuracy: np.ndarray
    final_train_accuracy: np.ndarray
    num_still_improving: int


Outcomes = dict[tuple[str, int], Outcome]


def early_stop(run: Run) -> tuple[int, float]:
    """Early-stop step and test accuracy there (Frankle & Carbin 2019, appendix C).

    Found afterwards: every run trains its full budget; among equal losses the first. A
    net that is pruned while it trains does not stop before it is as sparse as its run.

    Raises:
      RecordsError: if it never is.
    """
    validation = run.curves["validation", "loss"]
    (sparse_from,) = run.curves["mask", "weights_left"].steps
    may_stop = validation.steps >= sparse_from
    if not may_stop.any():
        raise RecordsError(
            f"replicate {run.replicate}, arm {run.arm}, level {run.level}: as sparse as"
            f" its run from step {sparse_from}, but last evaluated at step"
            f" {validation.steps[-1]}"
        )
    at = int(np.argmin(np.where(may_stop, validation.values, np.inf)))
    test = run.curves["test", "accuracy"]
    return int(validation.steps[at]), float(test.values[at])


def outcomes(runs: Sequence[Run]) -> Outcomes:
    """All outcomes by (arm, level), ordered by level and then arm."""
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.level, run.arm, run.replicate)):
        groups.setdefault((run.arm, run.level), []).append(run)
    return {key: _outcome(group) for key, group in groups.items()}


def _outcome(runs: Sequence[Run]) -> Outcome:
    steps, accuracies = zip(*map(early_stop, runs), strict=True)
    last = [run.curves["validation", "loss"].steps[-1] for run in runs]
    weights = [run.curves["mask", "weights_left"].values[0] for run in runs]
    return Outcome(
        arm=runs[0].arm,
        level=runs[0].level,
        density=float(np.mean([run.density for run in runs])),
        weights_left=round(np.mean(weights)),
        early_stop_step=np.array(steps, float),
        early_stop_accuracy=np.array(accuracies),
        final_accuracy=_final(runs, "test"),
        final_train_accuracy=_final(runs, "train"),
        num_still_improving=int(np.sum(np.equal(steps, last))),
    )


def _final(runs: Sequence[Run], split: str) -> np.ndarray:
    return np.array([run.curves[split, "accuracy"].values[-1] for run in runs], float)
