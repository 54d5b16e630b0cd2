"""Dynamic: how masks change while some arms train."""

import dataclasses
from typing import Any

from lth_jax.config.requirements import Checks
from lth_jax.pruning.layer_densities import LAYER_DENSITIES


@dataclasses.dataclass(frozen=True)
class DynamicConfig:
    """How masks change while the arms "gradual", "set" and "rigl" train."""

    update_every_steps: int = 100  # steps between changes of the masks
    drop_fraction: float = 0.3  # share of a layer's weights; "rigl" lets it decay
    begin_fraction: float = 0.0  # share of the budget at which "gradual" begins
    end_fraction: float = 0.75  # share of the budget after which no mask changes
    # Layer densities of "set" and "rigl": those of the "ticket", or "er" or "erk" of
    # their papers at the same number of weights in all; see
    # `lth_jax.pruning.layer_densities`.
    densities: str = "ticket"

    def arguments(self, num_steps: int) -> dict[str, Any]:
        """Returns the arguments of `training.dynamics.make_dynamics` for a budget."""
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
