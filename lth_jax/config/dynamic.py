"""Dynamic: how masks change while some arms train."""

import dataclasses
from typing import Any

from lth_jax.config.requirements import at_least, inside_unit, one_of, require
from lth_jax.pruning.layer_densities import LAYER_DENSITIES


@dataclasses.dataclass(frozen=True)
class DynamicConfig:
    """How masks change while the arms "gradual", "set" and "rigl" train.

    Attributes:
      update_every_steps: steps between updates.
      drop_fraction: of each layer's weights that "set" drops in an update, and "rigl" in
        its first.
      begin_fraction: of the budget, when "gradual" begins.
      end_fraction: of the budget, after which no masks change.
      densities: how many weights each layer of "set" and "rigl" has: "ticket" (as many
        as the ticket's), or as many in all, shared out by "er" or "erk" as in their
        papers; see `lth_jax.pruning.layer_densities`.
    """

    update_every_steps: int = 100
    drop_fraction: float = 0.3
    begin_fraction: float = 0.0
    end_fraction: float = 0.75
    densities: str = "ticket"

    def arguments(self, num_steps: int) -> dict[str, Any]:
        """What `lth_jax.training.dynamics.make_dynamics` takes, for a budget."""
        return {
            "update_every_steps": self.update_every_steps,
            "drop_fraction": self.drop_fraction,
            "begin_step": round(self.begin_fraction * num_steps),
            # No mask changes after the last step.
            "end_step": min(round(self.end_fraction * num_steps), num_steps - 1),
        }

    def check(self) -> None:
        """Raises a `ConfigError` on a value that is not allowed."""
        begin, end = self.begin_fraction, self.end_fraction
        inside_unit("dynamic.drop_fraction", self.drop_fraction)
        require("dynamic.begin_fraction", begin, 0 <= begin < 1, "inside [0, 1)")
        after = f"inside (begin_fraction, 1), which is above {begin}"
        require("dynamic.end_fraction", end, begin < end < 1, after)
        at_least("dynamic.update_every_steps", self.update_every_steps, 1)
        one_of("dynamic.densities", self.densities, ("ticket", *LAYER_DENSITIES))
