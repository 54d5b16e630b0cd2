"""Memory: what the devices have free."""

import jax

from lth_jax.errors import UserError


def free_memory_bytes() -> int:
    """What the local devices together have free; a UserError where they do not tell."""
    free = 0
    for device in jax.local_devices():
        stats = device.memory_stats() or {}
        if not {"bytes_limit", "bytes_in_use"} <= stats.keys():
            raise UserError(f"{device} does not tell its memory; set members_per_call")
        free += stats["bytes_limit"] - stats["bytes_in_use"]
    return free
