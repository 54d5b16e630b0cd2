"""ResNet-20 for small images; the paper calls it ResNet-18."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lth_jax.layout import INPUTS, Layer, Layout, Place
from lth_jax.models.initializers import INITIALIZERS
from lth_jax.models.layers import BatchNorm, Conv, scaled


class ResNet(nn.Module):
    """Residual net of basic blocks with projection shortcuts (He et al. 2016).

    Frankle & Carbin 2019, figure 2 and appendix I.3: on 32x32x3 inputs 270,896 weights,
    of which 2,560 in `shortcut` and 640 in `output` kernels, which the paper does not
    prune. Batch normalisation follows each convolution but the shortcuts' (whose output
    is normalised too), and no convolution has a bias. Inputs are [N, H, W, C]; logits
    are [N, num_classes].

    Attributes:
      num_classes: classes.
      channels: of each stage; stages after the first halve height and width.
      num_blocks: in each stage.
      inner_channels: between the two convolutions of each block, by stage; None for as
        many as the stage has.
      width: factor of all channels.
      kernel_init: how kernels are drawn.
      dtype: of the computation; params and batch statistics are float32.
    """

    num_classes: int = 10
    channels: tuple[int, ...] = (16, 32, 64)
    num_blocks: int = 3
    inner_channels: tuple[tuple[int, ...], ...] | None = None
    width: float = 1.0
    kernel_init: Initializer = INITIALIZERS["glorot_normal"]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, inputs: jax.Array, train: bool = False) -> jax.Array:
        """Logits of a batch."""
        kinds: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}
        first = scaled(self.width, self.channels[0])
        x = Conv(first, use_bias=False, name="conv", **kinds)(inputs)
        x = nn.relu(BatchNorm(not train, dtype=self.dtype, name="norm")(x))
        for stage, channels in enumerate(self.channels):
            for block in range(self.num_blocks):
                inner = self.inner_channels
                x = _Block(
                    scaled(self.width, channels),
                    scaled(self.width, inner[stage][block] if inner else channels),
                    stride=2 if stage > 0 and block == 0 else 1,
                    kernel_init=self.kernel_init,
                    dtype=self.dtype,
                    name=f"stage_{stage}_block_{block}",
                )(x, train)
        x = x.mean((1, 2))
        return nn.Dense(self.num_classes, name="output", **kinds)(x)

    def layout(self) -> Layout:
        """How its units connect: a stage's blocks share a residual stream."""
        places, past = [Place("conv", (Layer("conv", INPUTS, "norm"),))], "conv"
        for stage in range(len(self.channels)):
            for i in range(self.num_blocks):
                block = f"stage_{stage}_block_{i}"
                inner = f"{block}/conv_0"
                places.append(Place(inner, (Layer(inner, past, f"{block}/norm_0"),)))
                last = Layer(f"{block}/conv_1", inner, f"{block}/norm_1")
                if stage > 0 and i == 0:
                    side = Layer(f"{block}/shortcut", past, f"{block}/shortcut_norm")
                    places.append(Place(block, (last, side)))
                else:
                    places.append(Place(block, (last,), skip=past))
                past = block
        return (*places, Place("output", (Layer("output", past),)))

    def resized(self, sizes: Mapping[str, int]) -> "ResNet":
        """The same net with these numbers of channels, by place."""
        blocks = [
            [f"stage_{stage}_block_{i}" for i in range(self.num_blocks)]
            for stage in range(len(self.channels))
        ]
        return self.clone(
            channels=tuple(sizes[names[0]] for names in blocks),
            inner_channels=tuple(
                tuple(sizes[f"{name}/conv_0"] for name in names) for names in blocks
            ),
            width=1.0,
        )


class _Block(nn.Module):
    channels: int
    inner_channels: int
    stride: int
    kernel_init: Initializer
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        kinds: dict[str, Any] = {
            "kernel_init": self.kernel_init,
            "dtype": self.dtype,
            "use_bias": False,
        }
        strides = (self.stride, self.stride)

        def norm(y: jax.Array, name: str) -> jax.Array:
            normed: jax.Array = BatchNorm(not train, dtype=self.dtype, name=name)(y)
            return normed

        y = Conv(self.inner_channels, strides=strides, name="conv_0", **kinds)(x)
        y = nn.relu(norm(y, "norm_0"))
        y = norm(Conv(self.channels, name="conv_1", **kinds)(y), "norm_1")
        if self.stride != 1:
            x = Conv(
                self.channels,
                kernel_size=(1, 1),
                strides=strides,
                name="shortcut",
                **kinds,
            )(x)
            x = norm(x, "shortcut_norm")
        return nn.relu(x + y)
