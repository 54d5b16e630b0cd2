"""Claims: compares a paper's statements with the records."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from lth_jax.analysis.comparison import find_pair
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.outcomes import Outcomes
from lth_jax.config import Claim

_SAME_DENSITY = math.log(1.1)  # rounding within layers changes densities by less


class ClaimCheck(NamedTuple):
    """A claim and its answer.

    A claim "holds" if the whole interval lies within its bounds. It "does not hold" if no
    part of the interval does. Otherwise it is "undecided", or "not measured" without an
    estimate. A claim about speed is also undecided if the budget cuts most early stops
    short.
    """

    claim: Claim
    level: int | None  # the level of the nearest density, within 10%
    estimate: Estimate | None  # its interval is not corrected for the number of claims
    answer: str


def check_claims(claims: Sequence[Claim], outcomes: Outcomes) -> list[ClaimCheck]:
    """Returns each claim with its answer from the records."""
    checks = []
    for claim in claims:
        level = _nearest(claim, outcomes)
        estimate = None if level is None else _measured(claim, level, outcomes)
        answer = _answer(claim, estimate)
        if level is not None and estimate and _is_cut_short(claim, level, outcomes):
            answer = "undecided"
        checks.append(ClaimCheck(claim, level, estimate, answer))
    return checks


def _nearest(claim: Claim, outcomes: Outcomes) -> int | None:
    near = {
        outcome.level: distance
        for outcome in outcomes.values()
        if outcome.arm == claim.arm
        and outcome.density > 0
        and (distance := abs(math.log(outcome.density / claim.density))) <= _SAME_DENSITY
    }
    return min(near, key=near.__getitem__, default=None)


def _measured(claim: Claim, level: int, outcomes: Outcomes) -> Estimate | None:
    arm = outcomes[claim.arm, level]
    fields = {
        arm.metric.name: "early_stop_metric",
        f"final_{arm.metric.name}": "final_metric",
        "early_stop_step": "early_stop_step",
    }
    if claim.measure != "speedup" and claim.measure not in fields:  # another metric's
        return None
    if claim.reference == "none":
        return arm.mean(fields[claim.measure])
    pair = find_pair(outcomes, claim.arm, claim.reference, level)
    if pair is None or claim.measure == "speedup":
        return pair and pair.speedup()
    return pair.mean_difference(fields[claim.measure])


def _is_cut_short(claim: Claim, level: int, outcomes: Outcomes) -> bool:
    """Returns whether a claim is about early stops that a larger budget might move."""
    if claim.measure not in ("speedup", "early_stop_step"):
        return False
    pair = find_pair(outcomes, claim.arm, claim.reference, level)
    compared = pair or [outcomes[claim.arm, level]]
    return any(outcome.is_cut_short for outcome in compared)


def _answer(claim: Claim, estimate: Estimate | None) -> str:
    if estimate is None:
        return "not measured"
    low = -math.inf if claim.low is None else claim.low
    high = math.inf if claim.high is None else claim.high
    if low <= estimate.low and estimate.high <= high:
        return "holds"
    if estimate.high < low or estimate.low > high:
        return "does not hold"
    return "undecided"  # also without an interval: its ends are NaN
