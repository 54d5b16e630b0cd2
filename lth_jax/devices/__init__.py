"""Devices: where members train."""

from lth_jax.devices.members import (
    free_memory_bytes,
    num_cores,
    over_members,
    replicated,
    use_all_cores,
)

__all__ = [
    "free_memory_bytes",
    "num_cores",
    "over_members",
    "replicated",
    "use_all_cores",
]
