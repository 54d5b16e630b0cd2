"""LeNet-300-100, and fully connected ReLU nets of other sizes."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lth_jax.layout import Layout, chain
from lth_jax.models.layers import INITIALIZERS, relu, scaled


class LeNet(nn.Module):
    """Fully connected net (Frankle & Carbin 2019, figure 2; sizes, appendix G.6).

    Inputs float32[N, any shape] are flattened; logits are float32[N, num_classes].
    Kernels are `dense_0`, `dense_1`, ..., `output`; biases start at 0. With the
    default sizes of the hidden layers and 784 inputs it has 266,200 weights.
    """

    num_classes: int = 10
    hidden_sizes: tuple[int, ...] = (300, 100)
    width: float = 1.0
    kernel_init: Initializer = INITIALIZERS["glorot_normal"]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, inputs: jax.Array, train: bool = False) -> jax.Array:
        """Logits of a batch, the same in training."""
        kinds: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}
        x = inputs.reshape(inputs.shape[0], -1)
        for i, units in enumerate(self.hidden_sizes):
            size = scaled(self.width, units)
            x = relu(nn.Dense(size, name=f"dense_{i}", **kinds)(x))
        return nn.Dense(self.num_classes, name="output", **kinds)(x)

    def layout(self) -> Layout:
        """How its units connect."""
        hidden = [f"dense_{i}" for i in range(len(self.hidden_sizes))]
        return chain((name, None) for name in [*hidden, "output"])

    def resized(self, sizes: Mapping[str, int]) -> "LeNet":
        """The same net with these numbers of units, by place."""
        hidden = tuple(sizes[place.name] for place in self.layout()[:-1])
        return self.clone(hidden_sizes=hidden, width=1.0)
