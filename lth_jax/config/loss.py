"""Loss: what training makes small."""

import dataclasses

from lth_jax.config.requirements import registered
from lth_jax.training.losses import LOSSES


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """What training makes small.

    Attributes:
      name: "cross_entropy", "mean_squared_error", or `package.module:name`.
    """

    name: str = "cross_entropy"

    def check(self) -> None:
        """Raises a `ConfigError` on a value that is not allowed."""
        registered("loss.name", self.name, LOSSES)
