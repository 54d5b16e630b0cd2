"""Smallest: how sparse each criterion's tickets can be and still match the dense net."""

from collections.abc import Sequence

from lth_jax.analysis import intervals
from lth_jax.analysis.comparison import Pair, pairs
from lth_jax.analysis.intervals import ALPHA
from lth_jax.analysis.outcomes import Outcome, Outcomes
from lth_jax.lottery.arms import reported_arm


def smallest_matching(found: Outcomes, margin: float) -> dict[str, Outcome | None]:
    """Returns each criterion's sparsest outcome that matches the dense net, or None.

    The study's own criterion is "ticket". An outcome matches if it is shown to be at most
    the margin worse at early stop. As in the verdict, Holm's correction covers the levels
    of each criterion. The result is empty if the ticket's is the only criterion.
    """
    names = [arm for arm in dict.fromkeys(arm for arm, _ in found) if _is_criterion(arm)]
    if len(names) < 2:
        return {}
    return {arm: _smallest(pairs(found, arm, "dense"), margin) for arm in names}


def _smallest(asked: Sequence[Pair], margin: float) -> Outcome | None:
    bounds = asked[0].arm.metric.bounds if asked else intervals.UNBOUNDED
    gains = [pair.gain for pair in asked]
    adjusted = intervals.adjusted_p_values(gains, -margin, bounds)
    matching = [
        pair.arm
        for pair, p in zip(asked, adjusted, strict=True)
        if p <= ALPHA and pair.gain.mean() > -margin
    ]
    return min(matching, key=lambda outcome: outcome.density, default=None)


def _is_criterion(arm: str) -> bool:
    return arm == "ticket" or reported_arm(arm).is_criterion
