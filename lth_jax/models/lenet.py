"""LeNet-300-100 and its kin of other sizes: fully connected, ReLU."""

import flax.linen as nn
import jax
from jax.nn.initializers import Initializer

from lth_jax.models.initializers import INITIALIZERS


class LeNet(nn.Module):
    """Fully connected net (Frankle & Carbin 2019, figure 2; sizes, appendix G.6).

    Inputs [..., any shape] float32 are flattened; logits are float32[N, num_classes].
    Kernels are `dense_0`, `dense_1`, ..., `output`; biases start at 0. With the
    default sizes and 784 inputs it has 266,200 weights.

    Attributes:
      num_classes: classes.
      hidden_sizes: units of each hidden layer.
      kernel_init: how kernels are drawn.
    """

    num_classes: int = 10
    hidden_sizes: tuple[int, ...] = (300, 100)
    kernel_init: Initializer = INITIALIZERS["glorot_normal"]

    @nn.compact
    def __call__(self, inputs: jax.Array, train: bool = False) -> jax.Array:
        """Logits of a batch."""
        del train  # nothing here depends on it
        x = inputs.reshape(inputs.shape[0], -1)
        for i, size in enumerate(self.hidden_sizes):
            x = nn.relu(
                nn.Dense(size, kernel_init=self.kernel_init, name=f"dense_{i}")(x)
            )
        return nn.Dense(self.num_classes, kernel_init=self.kernel_init, name="output")(x)
