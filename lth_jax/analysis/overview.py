"""Overview: a whole study in a few numbers, to compare it with other studies."""

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
    """One study; None if it lacks the arm, or has no level after the first."""

    dense: Estimate  # the dense nets' metric at early stop
    # The smallest density at which the ticket is shown to match dense; NaN if there is
    # none. The upper end is that density, or 1 if there is none. The lower end is the
    # smallest density at which the ticket is not shown to fall below dense.
    matching: Estimate | None
    over_dense: Estimate | None  # ticket minus dense at early stop, mean over all levels
    over_reinit: Estimate | None  # the same against random reinitialisation
    at_sparsest: Estimate | None  # ticket minus dense at early stop, at the last level
    # The error barrier between copies, in [-1, 1]; None if it was not analysed.
    dense_barrier: Estimate | None = None
    ticket_barrier: Estimate | None = None  # of the sparsest level


def overview(runs: Sequence[Run], verdict: Verdict) -> Overview:
    """Returns the overview of a study from its records and the verdict on them."""
    found = outcomes(runs)
    return Overview(
        dense=verdict.summaries[0].early_stop_metric,
        matching=_matching(verdict),
        over_dense=_over_levels(found, "dense"),
        over_reinit=_over_levels(found, "reinit"),
        at_sparsest=_at_sparsest(found),
    )


def _matching(verdict: Verdict) -> Estimate | None:
    if not verdict.levels:
        return None
    place = verdict.answers.sparsest_matching
    open_ = [x.density for x in verdict.levels if x.matches_dense.answer != "no"]
    shown = place.density if place else math.nan
    return Estimate(shown, min(open_, default=1.0), place.density if place else 1.0)


def _at_sparsest(found: Outcomes) -> Estimate | None:
    compared = pairs(found, "ticket", "dense")
    return compared[-1].mean_difference() if compared else None


def _over_levels(found: Outcomes, reference: str) -> Estimate | None:
    """Returns the ticket minus another arm, each replicate averaged over all levels.

    No level is chosen. The interval therefore needs no correction for a choice.
    """
    compared = pairs(found, "ticket", reference)
    if not compared:
        return None
    bounds = compared[0].arm.bounds("early_stop_metric")
    values = np.mean([pair.difference() for pair in compared], axis=0)
    return intervals.mean_difference(values, bounds=bounds)
