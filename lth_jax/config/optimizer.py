"""Optimizer: how weights are trained."""

import dataclasses

from lth_jax.config.requirements import at_least, registered, require
from lth_jax.training.optimizers import OPTIMIZERS
from lth_jax.training.schedules import SCHEDULES


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How weights are trained; see `lth_jax.training.optimizers`.

    Attributes:
      name: "sgd", "momentum", "adam", "adamw", or `package.module:name`.
      learning_rate: the schedule's peak.
      momentum: for "momentum".
      weight_decay: coupled for "sgd" and "momentum", decoupled for "adamw".
      schedule: "constant", "step_drops", "cosine", or `package.module:name`.
      warmup_steps: linear warm-up from 0.
      drop_steps: for "step_drops", steps at which the rate drops.
      drop_factor: for "step_drops".
    """

    name: str = "adam"
    learning_rate: float = 1.2e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup_steps: int = 0
    drop_steps: tuple[int, ...] = ()
    drop_factor: float = 0.1

    def check(self, num_steps: int) -> None:
        """Raises a `ConfigError` on a value that is not allowed for such a budget."""
        registered("optimizer.name", self.name, OPTIMIZERS)
        registered("optimizer.schedule", self.schedule, SCHEDULES)
        rate, momentum, decay = self.learning_rate, self.momentum, self.weight_decay
        require("optimizer.learning_rate", rate, 0 < rate < float("inf"), "above 0")
        require("optimizer.momentum", momentum, 0 <= momentum < 1, "inside [0, 1)")
        at_least("optimizer.weight_decay", decay, 0)
        may_decay = not (decay and self.name == "adam")
        require("optimizer.weight_decay", decay, may_decay, "0 for 'adam'; use 'adamw'")
        within = f"to below num_steps ({num_steps})"
        warmup, drops = self.warmup_steps, self.drop_steps
        require("optimizer.warmup_steps", warmup, 0 <= warmup < num_steps, f"0 {within}")
        for step in drops:
            allowed = 1 <= step < num_steps
            require("optimizer.drop_steps", step, allowed, f"from 1 {within}")
        if self.schedule in SCHEDULES:
            given = bool(drops) == (self.schedule == "step_drops")
            allowed_for = "given for 'step_drops', and for it alone"
            require("optimizer.drop_steps", drops, given, allowed_for)
        distinct = len(set(drops)) == len(drops)
        require("optimizer.drop_steps", drops, distinct, "free of repetitions")
        factor = self.drop_factor
        require("optimizer.drop_factor", factor, factor > 0, "above 0")
