"""Standings: pruning criteria side by side, and which of them beat random pruning."""

from typing import NamedTuple

import numpy as np

from lth_jax.analysis import intervals
from lth_jax.analysis.comparison import Pair, find_pair
from lth_jax.analysis.intervals import ALPHA, Estimate
from lth_jax.analysis.outcomes import DENSE, Outcome, Outcomes
from lth_jax.lottery.arms import reported_arm

RANDOM = "random_uniform"  # prunes each layer at random


class Score(NamedTuple):
    """One criterion at one level."""

    level: int
    density: float
    metric: Estimate  # on the test split at early stop
    above_random: Estimate  # how much better, paired by replicate; NaN if not tested
    answer: str  # "yes" (shown to be better), "no" (worse), "undecided", "not tested"
    p: float  # of equal metrics; two-sided, adjusted for all criteria and levels


class Standing(NamedTuple):
    """One criterion at all levels after the first."""

    arm: str  # a criterion; "ticket" for the study's own
    mean_metric: float  # over the levels that every criterion has
    scores: list[Score]  # by level


def standings(found: Outcomes) -> list[Standing]:
    """Returns the criteria, best mean first; empty if the ticket's is the only one.

    In an unfinished study some criteria have fewer levels than others. Means are over the
    levels that all of them have, since sparse levels would make the others look worse.
    """
    keys = [
        (arm, level)
        for arm, level in found
        if level and (arm == "ticket" or reported_arm(arm).is_criterion)
    ]
    if len({arm for arm, _ in keys}) < 2:
        return []
    asked = {
        (arm, level): pair
        for arm, level in keys
        if arm != RANDOM and (pair := find_pair(found, arm, RANDOM, level))
    }
    gains, bounds = (x.gain for x in asked.values()), found[DENSE].metric.bounds
    adjusted = intervals.adjusted_p_values(gains, bounds=bounds)
    p_of = dict(zip(asked, adjusted, strict=True))
    scores: dict[str, list[Score]] = {}
    for key in keys:
        score = _score(found[key], asked.get(key), p_of.get(key, np.nan))
        scores.setdefault(key[0], []).append(score)
    common = set.intersection(*({x.level for x in mine} for mine in scores.values()))
    means = {
        arm: float(np.mean([x.metric.value for x in mine if x.level in common]))
        for arm, mine in scores.items()
    }
    sign = next(iter(found.values())).metric.sign
    ordered = sorted(scores, key=lambda arm: -sign * means[arm])
    return [Standing(arm, means[arm], scores[arm]) for arm in ordered]


def _score(outcome: Outcome, pair: Pair | None, p: float) -> Score:
    above, answer = Estimate(np.nan, np.nan, np.nan), "not tested"
    if pair is not None:
        above = intervals.mean_difference(pair.gain, bounds=outcome.metric.bounds)
        answer = "undecided"
        if p <= ALPHA:
            answer = "yes" if above.value > 0 else "no"
    reached = outcome.mean("early_stop_metric")
    return Score(outcome.level, outcome.density, reached, above, answer, p)
