"""Dynamic: how masks change while some arms train."""

import dataclasses
from typing import Any

from lth_jax.config.requirements import Checks
from lth_jax.pruning.layer_densities import LAYER_DENSITIES


@dataclasses.dataclass(frozen=True)
class DynamicConfig:
    """How masks change while the arms "gradual", "set" and "rigl" train."""

    update_every_steps: int = 100  # so often masks change
    drop_fraction: float = 0.3  # of a layer's weights, by "set" and by "rigl" at first
    begin_fraction: float = 0.0  # of the budget, when "gradual" begins
    end_fraction: float = 0.75  # of the budget, after which no masks change
    # How many weights each layer of "set" and "rigl" has: as many as the "ticket" has
    # there, or as many in all, shared out by "er" or "erk" as in their papers; see
    # `lth_jax.pruning.layer_densities`.
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
        check = Checks(self, "dynamic.")
        check.are("inside (0, 1)", "drop_fraction")
        check.are("inside [0, 1)", "begin_fraction")
        begin = self.begin_fraction
        after = f"inside (begin_fraction, 1), which is above {begin}"
        check.require("end_fraction", begin < self.end_fraction < 1, after)
        check.at_least(1, "update_every_steps")
        check.one_of("densities", ("ticket", *LAYER_DENSITIES))
