"""Comparison: one arm against another, paired by replicate, level by level."""

from typing import NamedTuple

import numpy as np

from lth_jax.analysis import intervals
from lth_jax.analysis.intervals import CONFIDENCE, Estimate
from lth_jax.analysis.outcomes import DENSE, Outcome, Outcomes


class Comparison(NamedTuple):
    """An arm against another at the same level, or against the dense nets.

    Attributes:
      arm: which.
      reference: what it is compared with, an arm or "dense".
      level, density: of the arm.
      early_stop_difference, final_difference: of the test metric, arm minus reference.
      speedup: mean early-stop step of the reference over that of the arm; above 1 the
        arm is the faster.
      speedup_by_replicate: the mean of the replicates' own ratios.
      p: of an equal metric at early stop, two-sided, adjusted for the number of levels.
    """

    arm: str
    reference: str
    level: int
    density: float
    early_stop_difference: Estimate
    final_difference: Estimate
    speedup: Estimate
    speedup_by_replicate: Estimate
    p: float


class Pair(NamedTuple):
    """An arm's outcome, and that of what it is compared with."""

    arm: Outcome
    reference: Outcome

    @property
    def difference(self) -> np.ndarray:
        """The metric at early stop, arm minus reference, float64[R]."""
        found: np.ndarray = self.arm.early_stop_metric - self.reference.early_stop_metric
        return found

    @property
    def gain(self) -> np.ndarray:
        """By how much the arm is better at early stop, float64[R]."""
        return self.arm.metric.sign * self.difference

    @property
    def log_speedup(self) -> np.ndarray:
        """Values whose mean is the log of the speed-up, float64[R]."""
        return intervals.log_ratio_of_means(
            self.reference.early_stop_step, self.arm.early_stop_step
        )

    def speedup(self, confidence: float = CONFIDENCE) -> Estimate:
        """The ratio of means."""
        steps = self.reference.early_stop_step, self.arm.early_stop_step
        return intervals.ratio_of_means(*steps, confidence)

    def speedup_by_replicate(self, confidence: float = CONFIDENCE) -> Estimate:
        """The mean of ratios."""
        steps = self.reference.early_stop_step, self.arm.early_stop_step
        return intervals.mean_of_ratios(*steps, confidence)


def pairs(outcomes: Outcomes, arm: str, reference: str) -> list[Pair]:
    """All levels after the first at which both are there, in order."""
    found = []
    for (name, level), outcome in outcomes.items():
        key = DENSE if reference == "dense" else (reference, level)
        if name == arm and level > 0 and key in outcomes:
            found.append(Pair(outcome, outcomes[key]))
    return found


def compare(outcomes: Outcomes, arm: str, reference: str) -> list[Comparison]:
    """An arm against another at all levels."""
    found = pairs(outcomes, arm, reference)
    adjusted = intervals.holm([intervals.p_value(pair.gain) for pair in found])
    return [
        _comparison(pair, reference, p) for pair, p in zip(found, adjusted, strict=True)
    ]


def all_comparisons(outcomes: Outcomes) -> list[Comparison]:
    """Every arm against the dense nets, and the ticket against every control."""
    arms = list(dict.fromkeys(arm for arm, _ in outcomes))
    against_dense = [compare(outcomes, arm, "dense") for arm in arms]
    controls = [arm for arm in arms if arm != "ticket"]
    against_controls = [compare(outcomes, "ticket", arm) for arm in controls]
    return [c for part in (*against_dense, *against_controls) for c in part]


def _comparison(pair: Pair, reference: str, p: float) -> Comparison:
    final = pair.arm.final_metric - pair.reference.final_metric
    return Comparison(
        arm=pair.arm.arm,
        reference=reference,
        level=pair.arm.level,
        density=pair.arm.density,
        early_stop_difference=intervals.mean(pair.difference),
        final_difference=intervals.mean(final),
        speedup=pair.speedup(),
        speedup_by_replicate=pair.speedup_by_replicate(),
        p=p,
    )
