"""Claims: what a paper states, beside what the records say."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from lth_jax.analysis import intervals
from lth_jax.analysis.comparison import Pair
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.outcomes import DENSE, Outcomes
from lth_jax.config import Claim

_SAME_DENSITY = math.log(1.1)  # layers' rounding moves densities less than this


class ClaimCheck(NamedTuple):
    """A claim, checked.

    Attributes:
      claim: as the config states it.
      level: the level whose density is nearest, within 10%; None if there is none.
      estimate: what was measured, with its 95% interval, not corrected for the number
        of claims; None without a level, or in a study judged by another metric.
      answer: "holds" if the whole interval lies within the claim's bounds, "does not
        hold" if none of it does, else "undecided"; "not measured" without an estimate.
    """

    claim: Claim
    level: int | None
    estimate: Estimate | None
    answer: str


def check_claims(claims: Sequence[Claim], outcomes: Outcomes) -> list[ClaimCheck]:
    """Every claim against the records."""
    return [_check(claim, outcomes) for claim in claims]


def _check(claim: Claim, outcomes: Outcomes) -> ClaimCheck:
    key = _nearest(claim, outcomes)
    if key is None:
        return ClaimCheck(claim, None, None, "not measured")
    level = key[1]
    arm = outcomes[key]
    field = {
        arm.metric.name: "early_stop_metric",
        f"final_{arm.metric.name}": "final_metric",
        "early_stop_step": "early_stop_step",
    }.get(claim.measure)
    if field is None and claim.measure != "speedup":  # of another metric
        return ClaimCheck(claim, level, None, "not measured")
    if claim.reference == "none":
        estimate = intervals.mean(getattr(arm, str(field)))
    else:
        other = DENSE if claim.reference == "dense" else (claim.reference, level)
        if other not in outcomes:
            return ClaimCheck(claim, level, None, "not measured")
        pair = Pair(arm, outcomes[other])
        if field is None:
            estimate = pair.speedup()
        else:
            difference = getattr(arm, field) - getattr(pair.reference, field)
            estimate = intervals.mean(difference)
    return ClaimCheck(claim, level, estimate, _answer(claim, estimate))


def _nearest(claim: Claim, outcomes: Outcomes) -> tuple[str, int] | None:
    distances = {
        key: abs(math.log(outcome.density / claim.density))
        for key, outcome in outcomes.items()
        if outcome.arm == claim.arm
    }
    nearest = min(distances, key=distances.__getitem__, default=None)
    if nearest is None or distances[nearest] > _SAME_DENSITY:
        return None
    return nearest


def _answer(claim: Claim, estimate: Estimate) -> str:
    if not estimate.has_interval:
        return "undecided"
    low = -math.inf if claim.low is None else claim.low
    high = math.inf if claim.high is None else claim.high
    if low <= estimate.low and estimate.high <= high:
        return "holds"
    if estimate.high < low or estimate.low > high:
        return "does not hold"
    return "undecided"
