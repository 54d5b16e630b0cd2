"""Model: which net, and how its weights are drawn."""

import dataclasses

from lth_jax.config.requirements import at_least, registered, require
from lth_jax.models import INITIALIZERS, MODELS, model_fields


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which net.

    Attributes:
      name: a name in `lth_jax.models.MODELS`, or `package.module:name`.
      hidden_sizes: units of each hidden dense layer of lenet, conv2, conv4 and conv6;
        empty for the paper's.
      width: factor of all channels and hidden units.
      dropout_rate: of conv2, conv4 and conv6, after each hidden dense layer.
    """

    name: str = "lenet"
    hidden_sizes: tuple[int, ...] = ()
    width: float = 1.0
    dropout_rate: float = 0.0

    def check(self) -> None:
        """Raises a `ConfigError` on a value that is not allowed."""
        registered("model.name", self.name, MODELS)
        for size in self.hidden_sizes:
            at_least("model.hidden_sizes", size, 1)
        require("model.width", self.width, 0 < self.width < float("inf"), "above 0")
        rate = self.dropout_rate
        require("model.dropout_rate", rate, 0 <= rate < 1, "inside [0, 1)")
        default, fields = ModelConfig(), ("hidden_sizes", "dropout_rate", "width")
        for name in fields:
            value, untold = getattr(self, name), getattr(default, name)
            ok = value == untold or name in model_fields(self.name)
            require(f"model.{name}", value, ok, f"left out for {self.name!r}")


@dataclasses.dataclass(frozen=True)
class InitConfig:
    """How weights are drawn.

    Attributes:
      name: a name in `lth_jax.models.INITIALIZERS`, or `package.module:name`.
    """

    name: str = "glorot_normal"

    def check(self) -> None:
        """Raises a `ConfigError` on a value that is not allowed."""
        registered("init.name", self.name, INITIALIZERS)
