"""Begun: a job that trains, with where it started and where it was left."""

import dataclasses
import logging
from typing import NamedTuple

import jax
import numpy as np

from lth_jax import devices
from lth_jax.lottery.arms import Start
from lth_jax.lottery.jobs import Job
from lth_jax.masks import Masks
from lth_jax.shrinking import CompactMembers, compact_members
from lth_jax.store.checkpoints import Newest
from lth_jax.training import Best, Curves, Metrics, TrainState
from lth_jax.training.connections import Counts

_WORTH = 0.9  # of the params; with more, what is saved hardly pays for compiling
_log = logging.getLogger(__name__)


class Training(NamedTuple):
    """Members at a segment boundary, leading axis R: all that going on needs."""

    state: TrainState
    masks: Masks  # as they are then, where they change
    best: Best  # what members were at their least validation loss so far
    curves: Curves  # float32[R, V] of all V evaluations, NaN where still to come


class Begun(NamedTuple):
    """A job that trains."""

    job: Job
    start: Start
    goal: Counts | None  # that changing masks come to; None where they stay
    compact: CompactMembers | None  # the smaller nets that train in its place, if any
    training: Training  # where it is, of the smaller nets if there are any

    @property
    def step(self) -> int:
        """The step that its members are at."""
        return int(devices.on_host(self.training.state.step)[0])

    @property
    def whole(self) -> Training:
        """Where it is, of the large nets."""
        compact, training = self.compact, self.training
        if compact is None:
            return training
        state, best = compact.expand(training.state), training.best
        stats = best.batch_stats
        large = compact.expand(
            dataclasses.replace(training.state, params=best.params, batch_stats=stats)
        )
        best = best._replace(params=large.params, batch_stats=large.batch_stats)
        return Training(state, self.start.masks, best, training.curves)

    @property
    def readable(self) -> "Begun":
        """The same of the large nets, of which this process can read all."""
        here = self._replace(training=devices.readable(self.training))
        return here._replace(training=here.whole, compact=None)


def begin(job: Job, start: Start, goal: Counts | None, saved: Newest) -> Begun:
    """A job as it was left; as it starts, where nothing was saved.

    It also starts anew if it was left under other masks, which a GPU may bring about:
    there scores can differ in the last bit the second time.
    """
    compact = compaction(job, start)
    state = start.state if compact is None else compact.states
    masks = start.masks if compact is None else compact.masks
    begun = Begun(job, start, goal, compact, fresh(job, state, masks))
    found = saved.newest(begun.training) if job.is_whole else None
    if found is None:
        return begun
    left = Training(*found)
    if job.how.dynamics is None and not _equal(left.masks, masks):
        _log.warning(
            "%s, level %d: masks came out otherwise than before the interruption;"
            " training from the start of the level",
            job.arm,
            job.level,
        )
        saved.clear()
        return begun
    return begun._replace(training=left)


def compaction(job: Job, start: Start) -> CompactMembers | None:
    """The smaller nets that a job trains; None where it trains the large ones."""
    wanted = job.study.config.compact_levels and job.level > 0
    if not wanted or job.how.dynamics is not None or start.frozen is not None:
        return None
    study = job.study
    compact = compact_members(study.network.module, start.state, start.masks, study.tx)
    small, large = (
        sum(leaf.size for leaf in jax.tree.leaves(state.params))
        for state in (compact.states, start.state)
    )
    return compact if small <= _WORTH * large else None


def fresh(job: Job, state: TrainState, masks: Masks) -> Training:
    """A job before its first segment."""
    empty = np.full((len(job.members), len(job.eval_steps)), np.nan, np.float32)
    metrics = Metrics({name: empty for name in ("loss", *job.study.loss.metrics)})
    best = jax.vmap(Best.before)(state)
    return Training(state, masks, best, Curves(empty, metrics, metrics))


def _equal(a: Masks, b: Masks) -> bool:
    return all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))
