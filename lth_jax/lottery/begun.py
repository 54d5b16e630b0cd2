"""Begun: a job that trains, with where it started and where it was left."""

import dataclasses
import logging
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax import devices
from lth_jax.lottery.arms import Start
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.stacking import stacked
from lth_jax.masks import Masks, Params, prunable_leaves
from lth_jax.shrinking import CompactMembers, compact_members
from lth_jax.store.checkpoints import Newest
from lth_jax.training import Best, Curves, Metrics, TrainState
from lth_jax.training.connections import Counts
from lth_jax.training.early_bird import EarlyBird

# A smaller net trains if it has at most this share of the params. With more, the time
# saved hardly pays for compiling it.
_WORTH = 0.9
_log = logging.getLogger(__name__)


class Training(NamedTuple):
    """Members between two calls, leading axis R: all that resuming needs."""

    state: TrainState
    masks: Masks  # at this step, if they change
    best: Best  # the members at their least validation loss so far
    curves: Curves  # float32[R, V] of all V evaluations, NaN at those still to come
    early_bird: EarlyBird | None = None  # if masks are pruned where its rule holds

    def pruned_from(self, at: str) -> TrainState | None:
        """The nets at `prune.at`, where training itself finds it; else None."""
        if at == "early_stop":
            return self.best.state
        return None if self.early_bird is None else self.early_bird.state


class Begun(NamedTuple):
    """A job that trains, from its start to where it is now."""

    job: Job
    start: Start
    goal: Counts | None  # the counts that changing masks reach; None if masks are static
    compact: CompactMembers | None  # the smaller nets that train instead, if any
    training: Training  # where it is now; of the smaller nets if there are any

    @property
    def step(self) -> int:
        """The step that its members are at."""
        return int(devices.on_host(self.training.state.step)[0])

    @property
    def whole(self) -> Training:
        """The training now, in the shapes of the large nets."""
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
        """The same job with large nets, in arrays that this process can read whole."""
        here = self._replace(training=devices.readable(self.training))
        return here._replace(training=here.whole, compact=None)


def begin(job: Job, start: Start, goal: Counts | None, saved: Newest) -> Begun:
    """A job as it was left, or at its start where nothing was saved.

    A job that was left under other masks also starts anew. This can happen on a GPU,
    where the last bit of a score can differ between two runs.
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
    """A job's training before its first segment."""
    empty = np.full((len(job.members), len(job.eval_steps)), np.nan, np.float32)
    metrics = Metrics({name: empty for name in ("loss", *job.study.loss.metrics)})
    best = jax.vmap(Best.before)(state)
    early_bird = None
    if job.draws_masks:
        prunable = [leaf for _, leaf in prunable_leaves(masks, job.study.prunable)]
        early_bird = jax.vmap(EarlyBird.before)(state, prunable)
    return Training(state, masks, best, Curves(empty, metrics, metrics), early_bird)


def _equal(a: Masks, b: Masks) -> bool:
    return all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))


def frozen_of(begun: Sequence[Begun]) -> Params | None:
    """The params that pruned weights stay at; None if all are 0 and none are added."""
    if all(one.start.frozen is None for one in begun):
        return None
    return stacked(
        [
            jax.tree.map(jnp.zeros_like, one.start.state.params)
            if one.start.frozen is None
            else one.start.frozen
            for one in begun
        ]
    )
