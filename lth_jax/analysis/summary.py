"""Summary: for each level and arm, means over the replicates with intervals."""

from typing import NamedTuple

from lth_jax.analysis.intervals import Estimate, mean
from lth_jax.analysis.outcomes import Outcome


class Summary(NamedTuple):
    """One arm at one level; fields as `Outcome` has them."""

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
        early_stop_metric=mean(outcome.early_stop_metric),
        final_metric=mean(outcome.final_metric),
        final_train_metric=mean(outcome.final_train_metric),
    )
