"""Compaction: whether a job trains smaller nets, and which."""

import jax

from lth_jax.lottery.arms import Start
from lth_jax.lottery.jobs import Job
from lth_jax.shrinking import CompactMembers, compact_members

_WORTH = 0.9  # of the params; with more, what is saved hardly pays for compiling


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
