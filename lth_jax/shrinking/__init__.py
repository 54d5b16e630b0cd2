"""Shrinking: smaller nets with the same outputs or training, and the cost of nets."""

from lth_jax.shrinking.compact import Compact, compact
from lth_jax.shrinking.cost import Cost, cost
from lth_jax.shrinking.dead_units import Reach, dead_units
from lth_jax.shrinking.products import NotCounted
from lth_jax.shrinking.selection import InputSelection
from lth_jax.shrinking.training import (
    CompactMembers,
    CompactTraining,
    compact_for_training,
    compact_members,
)

__all__ = [
    "Compact",
    "CompactMembers",
    "CompactTraining",
    "Cost",
    "InputSelection",
    "NotCounted",
    "Reach",
    "compact",
    "compact_for_training",
    "compact_members",
    "cost",
    "dead_units",
]
