"""Devices: where members train."""

from lth_jax.devices.environment import check, num_cores, use_all_cores
from lth_jax.devices.members import over_members
from lth_jax.devices.memory import free_memory_bytes
from lth_jax.devices.mesh import (
    by_data,
    data_sizes,
    idle_devices,
    in_whole_rounds,
    replicated,
    split_batch,
)
from lth_jax.devices.processes import (
    any_of,
    are_several,
    by_all,
    by_first,
    differ,
    from_first,
    is_first,
    on_host,
    readable,
)

__all__ = [
    "any_of",
    "are_several",
    "by_all",
    "by_data",
    "by_first",
    "check",
    "data_sizes",
    "differ",
    "free_memory_bytes",
    "from_first",
    "idle_devices",
    "in_whole_rounds",
    "is_first",
    "num_cores",
    "on_host",
    "over_members",
    "readable",
    "replicated",
    "split_batch",
    "use_all_cores",
]
