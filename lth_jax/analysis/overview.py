"""Overview: what a whole study comes to, in a few numbers to set beside others'."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lth_jax.analysis import intervals
from lth_jax.analysis.comparison import pairs
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.outcomes import Outcomes, outcomes
from lth_jax.analysis.verdict import Verdict
from lth_jax.store.records import Run


class Overview(NamedTuple):
    """One study; None where it has no such arm, or no level after the first."""

    dense: Estimate  # the dense nets' metric at early stop
    # The smallest density at which the ticket is shown to match dense (NaN: at none). The
    # ends are that one, or 1, and the smallest at which it is not shown to fall below.
    matching: Estimate | None
    over_dense: Estimate | None  # ticket minus dense at early stop, mean over all levels
    over_reinit: Estimate | None
    # The barrier of test error between copies, if that was analysed: in [-1, 1].
    dense_barrier: Estimate | None = None
    ticket_barrier: Estimate | None = None  # of the sparsest level


def overview(runs: Sequence[Run], verdict: Verdict) -> Overview:
    """The overview of a study by its records, and the verdict on them."""
    found = outcomes(runs)
    return Overview(
        dense=verdict.summaries[0].early_stop_metric,
        matching=_matching(verdict),
        over_dense=_over_levels(found, "dense"),
        over_reinit=_over_levels(found, "reinit"),
    )


def _matching(verdict: Verdict) -> Estimate | None:
    if not verdict.levels:
        return None
    place = verdict.answers.sparsest_matching
    open_ = [x.density for x in verdict.levels if x.matches_dense.answer != "no"]
    shown = place.density if place else math.nan
    return Estimate(shown, min(open_, default=1.0), place.density if place else 1.0)


def _over_levels(found: Outcomes, reference: str) -> Estimate | None:
    """The ticket minus another, by replicate the mean over levels, so of no choice."""
    compared = pairs(found, "ticket", reference)
    if not compared:
        return None
    bounds = compared[0].arm.bounds("early_stop_metric")
    values = np.mean([pair.difference() for pair in compared], axis=0)
    return intervals.mean_difference(values, bounds=bounds)
