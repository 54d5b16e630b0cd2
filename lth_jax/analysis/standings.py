"""Standings: criteria of pruning side by side, and which of them beat random pruning."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lth_jax.analysis import intervals
from lth_jax.analysis.comparison import Pair, pairs
from lth_jax.analysis.intervals import CONFIDENCE, Estimate
from lth_jax.analysis.outcomes import Outcome, Outcomes
from lth_jax.lottery.arms import reported_arm

RANDOM = "random_uniform"  # as many weights of each layer, none for a reason


class Score(NamedTuple):
    """One criterion at one level.

    Attributes:
      level, density: which.
      metric: on test data at early stop.
      above_random: by how much that is better than random pruning's, paired by
        replicate; NaN where there is none.
      answer: "yes" (shown to be better), "no" (shown to be worse), "undecided", or "not
        tested".
      p: of equal metrics, adjusted for the number of criteria and levels.
    """

    level: int
    density: float
    metric: Estimate
    above_random: Estimate
    answer: str
    p: float


class Standing(NamedTuple):
    """One criterion at all levels after the first.

    Attributes:
      arm: a criterion; "ticket" for the study's own.
      mean_metric: over the levels that every criterion has.
      scores: by level.
    """

    arm: str
    mean_metric: float
    scores: list[Score]


def standings(found: Outcomes) -> list[Standing]:
    """The criteria, the best mean first; none where the ticket's is the only one.

    In a study under way some have fewer levels than others: means are over those that
    all of them have, since sparse levels would draw the others down.
    """
    arms = list(dict.fromkeys(arm for arm, level in found if level))
    criteria = [arm for arm in arms if arm == "ticket" or reported_arm(arm).is_criterion]
    if len(criteria) < 2:
        return []
    asked = {
        (pair.arm.arm, pair.arm.level): pair
        for arm in criteria
        if arm != RANDOM
        for pair in pairs(found, arm, RANDOM)
    }
    p_of = dict(zip(asked, _adjusted(list(asked.values())), strict=True))
    levels = [{level for name, level in found if name == arm} for arm in criteria]
    common = set.intersection(*levels)
    standing = []
    for arm in criteria:
        mine = [o for (name, level), o in found.items() if name == arm and level]
        keys = [(arm, outcome.level) for outcome in mine]
        scores = [
            _score(outcome, asked.get(key), p_of.get(key, np.nan))
            for outcome, key in zip(mine, keys, strict=True)
        ]
        shared = [score.metric.value for score in scores if score.level in common]
        standing.append(Standing(arm, float(np.mean(shared)), scores))
    sign = next(iter(found.values())).metric.sign
    return sorted(standing, key=lambda s: -sign * s.mean_metric)


def _adjusted(asked: Sequence[Pair]) -> list[float]:
    return intervals.holm([intervals.p_value(pair.gain) for pair in asked])


def _score(outcome: Outcome, pair: Pair | None, p: float) -> Score:
    reached = intervals.mean(outcome.early_stop_metric)
    place = outcome.level, outcome.density, reached
    if pair is None:
        return Score(*place, Estimate(np.nan, np.nan, np.nan), "not tested", p)
    above = intervals.mean(pair.gain)
    if p <= 1 - CONFIDENCE:
        return Score(*place, above, "yes" if above.value > 0 else "no", p)
    return Score(*place, above, "undecided", p)
