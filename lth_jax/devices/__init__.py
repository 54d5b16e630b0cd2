"""Devices: where members train."""

from lth_jax.devices.environment import check, num_cores, use_all_cores
from lth_jax.devices.members import over_members
from lth_jax.devices.memory import free_memory_bytes
from lth_jax.devices.mesh import by_data, idle_devices, replicated, split_batch

__all__ = [
    "by_data",
    "check",
    "free_memory_bytes",
    "idle_devices",
    "num_cores",
    "over_members",
    "replicated",
    "split_batch",
    "use_all_cores",
]
