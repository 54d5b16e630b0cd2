"""Mesh: how members and their batches are split over the devices."""

import dataclasses
from collections.abc import Sequence

from lth_jax.config.requirements import Checks


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """How members and their batches are split over the devices."""

    # The number of devices that share each member's batches, a divisor of batch_size.
    # Each device has all params. Losses, gradients and batch statistics are those of the
    # whole batch, up to rounding. None means 1 on CPU, where idle cores are faster.
    # Elsewhere it means as many as the members of a call leave idle, or as one member
    # needs for its memory. Results agree to the last bit on an equal mesh: set it if a
    # resumed study must not differ.
    data: int | None = None

    def check(self, batch_size: int) -> None:
        """Raises a `ConfigError` on a value that is not allowed for this batch size."""
        ok = self.data is None or (self.data >= 1 and batch_size % self.data == 0)
        allowed = f"a positive divisor of batch_size ({batch_size})"
        Checks(self, "mesh.").require("data", ok, allowed)

    def check_devices(self, sizes: Sequence[int]) -> None:
        """Raises a `ConfigError` unless `data` is one of these numbers of devices."""
        ok = self.data is None or self.data in sizes
        allowed = f"one of {', '.join(map(str, sizes))} with these devices and processes"
        Checks(self, "mesh.").require("data", ok, allowed)
