"""Optimizer: the loss, and how training minimises it."""

import dataclasses

from lth_jax.config.requirements import Checks, require
from lth_jax.training.losses import LOSSES
from lth_jax.training.optimizers import OPTIMIZERS
from lth_jax.training.schedules import SCHEDULES


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """The loss that training minimises."""

    name: str = "cross_entropy"  # "mean_squared_error", or `package.module:name`

    def check(self) -> None:
        """Raises a `ConfigError` on a value that is not allowed."""
        Checks(self, "loss.").registered("name", LOSSES)


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How weights are trained; see `lth_jax.training.optimizers`."""

    name: str = "adam"  # "sgd", "momentum", "adamw", or `package.module:name`
    learning_rate: float = 1.2e-3  # the schedule's peak
    momentum: float = 0.9  # for "momentum"
    weight_decay: float = 0.0  # coupled for "sgd", "momentum"; decoupled for "adamw"
    schedule: str = "constant"  # "step_drops", "cosine", or `package.module:name`
    warmup_steps: int = 0  # linear warm-up from 0
    drop_steps: tuple[int, ...] = ()  # for "step_drops", steps at which the rate drops
    drop_factor: float = 0.1  # for "step_drops"

    def check(self, num_steps: int) -> None:
        """Raises a `ConfigError` on a value that is not allowed for this budget."""
        check = Checks(self, "optimizer.")
        check.registered("name", OPTIMIZERS)
        check.registered("schedule", SCHEDULES)
        check.are("above 0", "learning_rate")
        check.are("inside [0, 1)", "momentum")
        check.at_least(0, "weight_decay")
        may_decay = not (self.weight_decay and self.name == "adam")
        check.require("weight_decay", may_decay, "0 for 'adam'; use 'adamw'")
        within = f"to below num_steps ({num_steps})"
        check.require("warmup_steps", 0 <= self.warmup_steps < num_steps, f"0 {within}")
        drops = self.drop_steps
        for step in drops:
            ok = 1 <= step < num_steps
            require("optimizer.drop_steps", step, ok, f"from 1 {within}")
        if self.schedule in SCHEDULES:
            ok = bool(drops) == (self.schedule == "step_drops")
            check.require("drop_steps", ok, "given for 'step_drops', and for it alone")
        distinct = len(set(drops)) == len(drops)
        check.require("drop_steps", distinct, "free of repetitions")
        check.require("drop_factor", self.drop_factor > 0, "above 0")
