"""Mesh: how members and their batches are split over the devices."""

import dataclasses
from collections.abc import Sequence

from lth_jax.config.requirements import Checks


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """How members and their batches are split over the devices."""

    # So many devices share the batches of each member: its params lie whole on each, and
    # losses, gradients and batch statistics are of the whole batch, up to rounding. A
    # divisor of batch_size. None: 1 on CPU, where leaving cores idle is faster; elsewhere
    # as many as the members of a call leave idle, or as one needs to fit their memory.
    # The same mesh gives the same bits: set it where a resumed study must not differ.
    data: int | None = None

    def check(self, batch_size: int) -> None:
        """Raises a `ConfigError` on a value that is not allowed for such batches."""
        ok = self.data is None or (self.data >= 1 and batch_size % self.data == 0)
        allowed = f"a positive divisor of batch_size ({batch_size})"
        Checks(self, "mesh.").require("data", ok, allowed)

    def check_devices(self, sizes: Sequence[int]) -> None:
        """Raises a `ConfigError` unless so many devices can share a member."""
        ok = self.data is None or self.data in sizes
        allowed = f"one of {', '.join(map(str, sizes))} with these devices and processes"
        Checks(self, "mesh.").require("data", ok, allowed)
