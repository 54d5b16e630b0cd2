"""Devices: where members train."""

from lth_jax.devices.members import (
    check,
    free_memory_bytes,
    num_cores,
    over_members,
    replicated,
    use_all_cores,
)

__all__ = [
    "check",
    "free_memory_bytes",
    "num_cores",
    "over_members",
    "replicated",
    "use_all_cores",
]
