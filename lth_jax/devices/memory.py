"""Memory: the free memory of the devices."""

import jax

from lth_jax.errors import UserError


def free_memory_bytes() -> int:
    """The free bytes of all local devices together.

    Raises:
      UserError: if a device does not report its memory.
    """
    free = 0
    for device in jax.local_devices():
        stats = device.memory_stats() or {}
        if not {"bytes_limit", "bytes_in_use"} <= stats.keys():
            raise UserError(f"{device} does not tell its memory; set members_per_call")
        free += stats["bytes_limit"] - stats["bytes_in_use"]
    return free
