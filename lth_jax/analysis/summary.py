"""Summary: for each level and arm, means over the replicates with intervals."""

from typing import NamedTuple

from lth_jax.analysis.intervals import Estimate, mean
from lth_jax.analysis.outcomes import Outcome


class Summary(NamedTuple):
    """One arm at one level; accuracies in [0, 1]; fields as `Outcome` has them."""

    arm: str
    level: int
    density: float
    weights_left: int
    num_replicates: int
    num_still_improving: int
    early_stop_step: Estimate
    early_stop_accuracy: Estimate
    final_accuracy: Estimate
    final_train_accuracy: Estimate


def summarize(outcome: Outcome) -> Summary:
    """The summary of an outcome."""
    return Summary(
        arm=outcome.arm,
        level=outcome.level,
        density=outcome.density,
        weights_left=outcome.weights_left,
        num_replicates=len(outcome.early_stop_step),
        num_still_improving=outcome.num_still_improving,
        early_stop_step=mean(outcome.early_stop_step),
        early_stop_accuracy=mean(outcome.early_stop_accuracy),
        final_accuracy=mean(outcome.final_accuracy),
        final_train_accuracy=mean(outcome.final_train_accuracy),
    )
