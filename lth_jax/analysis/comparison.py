"""Comparison: one arm against another, paired by replicate, level by level."""

from typing import NamedTuple

import numpy as np

from lth_jax.analysis import intervals
from lth_jax.analysis.crossed import examples_error
from lth_jax.analysis.intervals import CONFIDENCE, Bounds, Estimate
from lth_jax.analysis.outcomes import DENSE, Outcome, Outcomes


class Comparison(NamedTuple):
    """An arm against another at the same level, or against the dense nets."""

    arm: str
    reference: str  # an arm, or "dense"
    level: int
    density: float  # of the arm
    early_stop_difference: Estimate  # test metric, arm minus reference
    final_difference: Estimate
    speedup: Estimate  # the reference's mean early-stop step divided by the arm's
    speedup_by_replicate: Estimate  # the mean of the ratios of single replicates
    p: float  # of equal metrics at early stop; two-sided, adjusted for all levels
    # As if the test examples were drawn anew too; NaN if these are unknown.
    early_stop_two_way: Estimate = intervals.NONE
    final_two_way: Estimate = intervals.NONE


class Pair(NamedTuple):
    """The outcomes of an arm and of its reference."""

    arm: Outcome
    reference: Outcome

    def difference(self, field: str = "early_stop_metric") -> np.ndarray:
        """Returns a field's difference float64[R], arm minus reference."""
        found: np.ndarray = getattr(self.arm, field) - getattr(self.reference, field)
        return found

    def mean_difference(
        self, field: str = "early_stop_metric", confidence: float = CONFIDENCE
    ) -> Estimate:
        """Returns the mean difference in a field, arm minus reference."""
        bounds = self.arm.bounds(field)
        return intervals.mean_difference(self.difference(field), confidence, bounds)

    def two_way(
        self, field: str = "early_stop_metric", confidence: float = CONFIDENCE
    ) -> Estimate:
        """Returns `mean_difference`, with an interval over test examples too.

        It is NaN if the answers to test examples are unknown.
        """
        if self.arm.correct is None or self.reference.correct is None:
            return intervals.NONE
        mine, other = (x.is_correct(field).astype(int) for x in self)
        values, bounds = self.difference(field), self.arm.bounds(field)
        error = examples_error(mine - other)
        return intervals.mean_difference(values, confidence, bounds, error)

    @property
    def gain(self) -> np.ndarray:
        """Returns how much better the arm is at early stop, float64[R]."""
        return self.arm.metric.sign * self.difference()

    @property
    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns early-stop steps of the reference and of the arm, float64[R] each."""
        return self.reference.early_stop_step, self.arm.early_stop_step

    def speedup(self, confidence: float = CONFIDENCE) -> Estimate:
        """Returns the reference's mean early-stop step divided by the arm's."""
        bounds = self._speedup_bounds
        return intervals.ratio_of_means(*self.steps, confidence, bounds)

    def speedup_by_replicate(self) -> Estimate:
        """Returns the mean of the speedups of single replicates."""
        return intervals.mean_of_ratios(*self.steps, self._speedup_bounds)

    @property
    def _speedup_bounds(self) -> Bounds:
        (first, last), (own_first, own_last) = (
            self.reference.evaluated,
            self.arm.evaluated,
        )
        return first / own_last, last / own_first


def find_pair(found: Outcomes, arm: str, reference: str, level: int) -> Pair | None:
    """Returns an arm and its reference at a level; None if one of them is missing."""
    of_reference = DENSE if reference == "dense" else (reference, level)
    mine, other = found.get((arm, level)), found.get(of_reference)
    return Pair(mine, other) if mine and other else None


def pairs(outcomes: Outcomes, arm: str, reference: str) -> list[Pair]:
    """Returns the pairs at all levels from 1 on where both are known, in order."""
    levels = [level for name, level in outcomes if name == arm and level > 0]
    found = (find_pair(outcomes, arm, reference, level) for level in levels)
    return [pair for pair in found if pair]


def compare(outcomes: Outcomes, arm: str, reference: str) -> list[Comparison]:
    """Returns the comparison of an arm with another at each level."""
    found = pairs(outcomes, arm, reference)
    gains, bounds = (pair.gain for pair in found), outcomes[DENSE].metric.bounds
    adjusted = intervals.adjusted_p_values(gains, bounds=bounds)
    return [
        Comparison(
            arm=arm,
            reference=reference,
            level=pair.arm.level,
            density=pair.arm.density,
            early_stop_difference=pair.mean_difference(),
            final_difference=pair.mean_difference("final_metric"),
            speedup=pair.speedup(),
            speedup_by_replicate=pair.speedup_by_replicate(),
            p=p,
            early_stop_two_way=pair.two_way(),
            final_two_way=pair.two_way("final_metric"),
        )
        for pair, p in zip(found, adjusted, strict=True)
    ]


def all_comparisons(outcomes: Outcomes) -> list[Comparison]:
    """Compares each arm with dense, and the ticket with each other arm, at each level."""
    arms = list(dict.fromkeys(arm for arm, _ in outcomes))
    asked = [(arm, "dense") for arm in arms]
    asked += [("ticket", arm) for arm in arms if arm != "ticket"]
    return [c for arm, reference in asked for c in compare(outcomes, arm, reference)]
