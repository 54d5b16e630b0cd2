"""Model: which net, and how its weights are drawn."""

import dataclasses

from lth_jax.config.requirements import Checks
from lth_jax.models import INITIALIZERS, MODELS, model_fields


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which net."""

    # In `lth_jax.models.MODELS`, or `package.module:name`. "lenet" takes inputs of any
    # shape, "resnet20" images or signals [length, channels], and others images.
    name: str = "lenet"
    # Units of each hidden dense layer of lenet, conv2, conv4, conv6; empty: the paper's.
    hidden_sizes: tuple[int, ...] = ()
    width: float = 1.0  # factor of all channels and hidden units
    dropout_rate: float = 0.0  # of conv2, conv4, conv6, after each hidden dense layer

    def check(self) -> None:
        """Raises a `ConfigError` on a value that is not allowed."""
        check = Checks(self, "model.")
        check.registered("name", MODELS)
        check.at_least(1, "hidden_sizes")
        check.are("above 0", "width")
        check.are("inside [0, 1)", "dropout_rate")
        for name in ("hidden_sizes", "dropout_rate", "width"):
            untold = getattr(self, name) == getattr(ModelConfig, name)
            ok = untold or name in model_fields(self.name)
            check.require(name, ok, f"left out for {self.name!r}")


@dataclasses.dataclass(frozen=True)
class InitConfig:
    """How weights are drawn."""

    # In `lth_jax.models.INITIALIZERS`, or `package.module:name`.
    name: str = "glorot_normal"
    scale: float = 1.0  # factor of what is drawn; for "normal", "uniform" the deviation

    def check(self) -> None:
        """Raises a `ConfigError` on a value that is not allowed."""
        check = Checks(self, "init.")
        check.registered("name", INITIALIZERS)
        check.are("above 0", "scale")
