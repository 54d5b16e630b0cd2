"""Compaction: whether a call trains smaller nets, and which."""

import jax

from lth_jax.core.arms import spec_of
from lth_jax.core.tickets import Start
from lth_jax.masks import Params
from lth_jax.shrinking import CompactMembers, compact_members
from lth_jax.study.experiment import Experiment
from lth_jax.study.plan import Call

_WORTH = 0.9  # of the params; with more, what is saved hardly pays for compiling


def compaction(
    experiment: Experiment, call: Call, start: Start, frozen: Params | None
) -> CompactMembers | None:
    """The smaller nets that a call trains; None where it trains the large ones.

    Args:
      experiment: the study's.
      call: its groups, whose masks change alike or stay.
      start: where they start, leading axis M.
      frozen: what their pruned weights stay at; None: 0.
    """
    wanted = experiment.config.compact_levels and call[0].level > 0
    if not wanted or spec_of(call[0].arm).dynamics is not None or frozen is not None:
        return None
    compact = compact_members(experiment.network.module, *start, experiment.tx)
    sizes = [
        sum(leaf.size for leaf in jax.tree.leaves(state.params))
        for state in (compact.states, start.state)
    ]
    return compact if sizes[0] <= _WORTH * sizes[1] else None
