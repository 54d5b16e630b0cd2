"""Outcomes: what the replicates of an arm reached at a level, and its summaries."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lth_jax.analysis import intervals
from lth_jax.analysis.crossed import examples_error
from lth_jax.analysis.intervals import Bounds, Estimate
from lth_jax.analysis.metric import ACCURACY, Metric, metric_of
from lth_jax.store.correct import Correct
from lth_jax.store.records import Curve, RecordsError, Run

_LATE = 0.9  # of the budget, not only its last step: losses are noisy
DENSE = ("ticket", 0)  # the arm and level of the dense nets


class Outcome(NamedTuple):
    """One arm at one level; arrays are float64[R], in the order of the replicates."""

    metric: Metric
    arm: str
    level: int
    density: float  # mean over the replicates
    weights_left: int  # mean over the replicates
    early_stop_step: np.ndarray  # the first step with the lowest validation loss
    early_stop_metric: np.ndarray  # on the test split there; accuracies are in [0, 1]
    final_metric: np.ndarray  # on the test split at the end of the budget
    final_train_metric: np.ndarray  # on the training split
    num_still_improving: int  # replicates whose early stop is in the budget's last tenth
    evaluated: tuple[int, int]  # the first and last possible early stop
    correct: Correct | None = None  # by test example, where that is known
    early_bird_step: np.ndarray | None = None  # where masks come to rest, if drawn

    @property
    def is_cut_short(self) -> bool:
        """Whether a larger budget might move the early stops of most replicates."""
        return 2 * self.num_still_improving > len(self.early_stop_step)

    def bounds(self, field: str) -> Bounds:
        """Returns the range of the possible values of a field."""
        return self.evaluated if field == "early_stop_step" else self.metric.bounds

    def mean(self, field: str) -> Estimate:
        """Returns the mean of a field over the replicates, with its interval."""
        return intervals.mean(getattr(self, field), bounds=self.bounds(field))

    def two_way(self, field: str) -> Estimate:
        """Returns the mean, with an interval over replicates and test examples.

        It is NaN if the answers to test examples are unknown.
        """
        if self.correct is None:
            return intervals.NONE
        error = examples_error(self.is_correct(field))
        values, bounds = getattr(self, field), self.bounds(field)
        return intervals.mean(values, bounds=bounds, error=error)

    def is_correct(self, field: str) -> np.ndarray:
        """Returns which test examples are correct at the field's step, bool[R, N]."""
        assert self.correct is not None
        is_early = field == "early_stop_metric"
        return self.correct.early_stop if is_early else self.correct.final


Outcomes = dict[tuple[str, int], Outcome]


class Summary(NamedTuple):
    """One arm at one level: an `Outcome` whose arrays are means with intervals."""

    arm: str
    level: int
    density: float
    weights_left: int
    num_replicates: int
    num_still_improving: int
    early_stop_step: Estimate
    early_stop_metric: Estimate
    final_metric: Estimate
    final_train_metric: Estimate
    # As if the test examples were drawn anew too; NaN if these are unknown.
    early_stop_two_way: Estimate = intervals.NONE
    final_two_way: Estimate = intervals.NONE


def early_stop(run: Run, metric: Metric = ACCURACY) -> tuple[int, float]:
    """Returns the early-stop step and the test metric there.

    Both follow Frankle & Carbin 2019, appendix C. Every run trains its full budget. Among
    equal losses the first counts. A net that is pruned during training stops no earlier
    than at its final sparsity.

    Raises:
      RecordsError: if the net was not evaluated at its final sparsity.
    """
    steps, losses = _may_stop(run)
    step = int(steps[np.argmin(losses)])
    noted = run.curves.get(("test", f"early_stop_{metric.name}"))
    if noted is not None:
        return step, float(noted.values[0])
    test = run.curves["test", metric.name]  # for studies without such a row
    return step, float(test.values[test.steps == step][0])


def _may_stop(run: Run) -> Curve:
    """Returns the validation losses from the step of the final sparsity on."""
    validation = run.curves["validation", "loss"]
    (sparse_from,) = run.curves["mask", "weights_left"].steps
    first = int(np.searchsorted(validation.steps, sparse_from))
    if first == len(validation.steps):
        raise RecordsError(
            f"replicate {run.replicate}, arm {run.arm}, level {run.level}: reaches its"
            f" final sparsity at step {sparse_from}, but was last evaluated at step"
            f" {validation.steps[-1]}"
        )
    return Curve(validation.steps[first:], validation.values[first:])


def outcomes(
    runs: Sequence[Run], correct: Mapping[tuple[str, int], Correct] | None = None
) -> Outcomes:
    """Returns all outcomes by (arm, level), ordered by level and then by arm.

    `correct` holds the known answers to test examples by (arm, level). They count only
    if the metric is accuracy.
    """
    metric = metric_of(runs)
    ordered = sorted(runs, key=lambda run: (run.level, run.arm, run.replicate))
    groups = itertools.groupby(ordered, key=lambda run: (run.arm, run.level))
    known = correct if correct and metric.name == ACCURACY.name else {}
    return {key: _outcome(list(group), metric, known.get(key)) for key, group in groups}


def _outcome(runs: Sequence[Run], metric: Metric, correct: Correct | None) -> Outcome:
    def final(split: str) -> np.ndarray:
        return np.array([r.curves[split, metric.name].values[-1] for r in runs], float)

    steps, values = zip(*(early_stop(run, metric) for run in runs), strict=True)
    may_stop = _may_stop(runs[0]).steps  # the same for all replicates
    weights = [run.curves["mask", "weights_left"].values[0] for run in runs]
    return Outcome(
        metric=metric,
        arm=runs[0].arm,
        level=runs[0].level,
        density=float(np.mean([run.density for run in runs])),
        weights_left=round(np.mean(weights)),
        early_stop_step=np.array(steps, float),
        early_stop_metric=np.array(values),
        final_metric=final("test"),
        final_train_metric=final("train"),
        num_still_improving=int(np.sum(np.array(steps) > _LATE * may_stop[-1])),
        correct=correct,
        evaluated=(int(may_stop[0]), int(may_stop[-1])),
        early_bird_step=_early_bird_steps(runs),
    )


def _early_bird_steps(runs: Sequence[Run]) -> np.ndarray | None:
    found = [run.curves.get(("mask", "early_bird_distance")) for run in runs]
    steps = [curve.steps[0] for curve in found if curve is not None]
    return np.array(steps, float) if len(steps) == len(runs) else None


def summarize(outcome: Outcome) -> Summary:
    """Returns the summary of an outcome."""
    known = outcome._asdict() | {
        "num_replicates": len(outcome.early_stop_step),
        "early_stop_two_way": outcome.two_way("early_stop_metric"),
        "final_two_way": outcome.two_way("final_metric"),
    }
    return Summary._make(
        outcome.mean(name) if isinstance(known[name], np.ndarray) else known[name]
        for name in Summary._fields
    )
