"""Deploy: what a ticket becomes: dead units, smaller nets, what they cost, files."""

from lth_jax.deploy.compact import Compact, compact
from lth_jax.deploy.cost import Cost, cost
from lth_jax.deploy.dead_units import Reach, dead_units
from lth_jax.deploy.members import CompactMembers, compact_members
from lth_jax.deploy.package import Package, load
from lth_jax.deploy.training import CompactTraining, compact_for_training

__all__ = [
    "Compact",
    "CompactMembers",
    "CompactTraining",
    "Cost",
    "Package",
    "Reach",
    "compact",
    "compact_for_training",
    "compact_members",
    "cost",
    "dead_units",
    "load",
]
