"""Conv-2, Conv-4 and Conv-6: small VGG-like nets."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lth_jax.layout import Layout, chain
from lth_jax.models.layers import INITIALIZERS, Conv, max_pool, relu, scaled


class ConvNet(nn.Module):
    """Stages of 3x3 convolutions and a max pool, then dense layers, ReLU everywhere.

    Frankle & Carbin 2019, figure 2. Inputs are [N, H, W, C] with H and W divisible by 2
    for each stage; logits are [N, num_classes]. Kernels are `conv_0`, `conv_1`, ...,
    `dense_0`, ..., `output`; biases start at 0. On 32x32x3 inputs Conv-2 has 4,300,992
    weights (38,592 in convolutions) and Conv-4 2,425,024 (259,776). Conv-6 has 2,261,184
    (1,144,512), as its layers are listed in the paper, whose figure 2 prints 1.7M (1.1M).

    `stages` has the channels of each convolution. Dropout follows each hidden dense
    layer. The paper (section 5) has a rate of 0.5, but does not say after which layers.
    """

    num_classes: int = 10
    stages: tuple[tuple[int, ...], ...] = ((64, 64),)
    hidden_sizes: tuple[int, ...] = (256, 256)
    width: float = 1.0
    dropout_rate: float = 0.0
    kernel_init: Initializer = INITIALIZERS["glorot_normal"]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, inputs: jax.Array, train: bool = False) -> jax.Array:
        """Logits of a batch."""
        kinds: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}
        x, layer = inputs, 0
        for stage in self.stages:
            for channels in stage:
                size = scaled(self.width, channels)
                x = relu(Conv(size, name=f"conv_{layer}", **kinds)(x))
                layer += 1
            x = max_pool(x)
        x = x.reshape(x.shape[0], -1)
        for i, units in enumerate(self.hidden_sizes):
            size = scaled(self.width, units)
            x = relu(nn.Dense(size, name=f"dense_{i}", **kinds)(x))
            x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        return nn.Dense(self.num_classes, name="output", **kinds)(x)

    def layout(self) -> Layout:
        """How its units connect."""
        convolutions = [f"conv_{i}" for i in range(sum(map(len, self.stages)))]
        hidden = [f"dense_{i}" for i in range(len(self.hidden_sizes))]
        return chain((name, None) for name in [*convolutions, *hidden, "output"])

    def resized(self, sizes: Mapping[str, int]) -> "ConvNet":
        """The same net with these numbers of channels and units, by place."""
        number = iter(sizes[place.name] for place in self.layout()[:-1])
        stages = tuple(tuple(next(number) for _ in stage) for stage in self.stages)
        return self.clone(stages=stages, hidden_sizes=tuple(number), width=1.0)
