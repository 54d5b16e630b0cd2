"""VGG-16 and VGG-19 for small images, with batch normalisation."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lth_jax.layout import Layout, chain
from lth_jax.models.layers import INITIALIZERS, BatchNorm, Conv, max_pool, relu, scaled


class VGG(nn.Module):
    """VGG of Simonyan & Zisserman 2015 as adapted to 32x32 images.

    Frankle & Carbin 2019, figure 2 and appendix I.2. Max pools are between the stages.
    The mean over the remaining pixels and one dense layer follow. On 32x32x3 inputs
    VGG-19 has 20,024,000 weights; 5,120 of them are in `output`, which the paper does not
    prune. Batch normalisation follows each convolution, which has no bias. Inputs are
    [N, H, W, C], with H and W divisible by 2 for each stage except the last; logits are
    [N, num_classes]. `channels` are those of each stage, or of each convolution in it.
    """

    num_classes: int = 10
    convolutions: tuple[int, ...] = (2, 2, 4, 4, 4)
    channels: tuple[int | tuple[int, ...], ...] = (64, 128, 256, 512, 512)
    width: float = 1.0
    kernel_init: Initializer = INITIALIZERS["glorot_normal"]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, inputs: jax.Array, train: bool = False) -> jax.Array:
        """Logits of a batch."""
        kinds: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}
        x, layer = inputs, 0
        for stage, number in enumerate(self.convolutions):
            if stage > 0:
                x = max_pool(x)
            channels = self.channels[stage]
            for each in (channels,) * number if isinstance(channels, int) else channels:
                size = scaled(self.width, each)
                x = Conv(size, use_bias=False, name=f"conv_{layer}", **kinds)(x)
                norm = BatchNorm(not train, dtype=self.dtype, name=f"norm_{layer}")
                x, layer = relu(norm(x)), layer + 1
        return nn.Dense(self.num_classes, name="output", **kinds)(x.mean((1, 2)))

    def layout(self) -> Layout:
        """How its units connect."""
        layers = [(f"conv_{i}", f"norm_{i}") for i in range(sum(self.convolutions))]
        return chain([*layers, ("output", None)])

    def resized(self, sizes: Mapping[str, int]) -> "VGG":
        """The same net with these numbers of channels, by place."""
        number = iter(sizes[place.name] for place in self.layout()[:-1])
        channels = tuple(tuple(next(number) for _ in range(n)) for n in self.convolutions)
        return self.clone(channels=channels, width=1.0)
