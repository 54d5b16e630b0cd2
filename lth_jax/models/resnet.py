"""ResNet-20 for small images and signals; the paper calls it ResNet-18."""

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lth_jax.layout import INPUTS, Layer, Layout, Place
from lth_jax.models.layers import INITIALIZERS, BatchNorm, Conv, relu, scaled


class ResNet(nn.Module):
    """Residual net of basic blocks with projection shortcuts (He et al. 2016).

    Frankle & Carbin 2019, figure 2 and appendix I.3. On 32x32x3 inputs it has 270,896
    weights. Of these, 2,560 are in `shortcut` and 640 in `output` kernels, which the
    paper does not prune. Batch normalisation follows each convolution, shortcuts
    included, and no convolution has a bias. Inputs are images, [N, H, W, C], or signals,
    [N, L, C], whose kernels are 3x1. Logits are [N, num_classes].

    `channels` has the channels of each stage, and each stage has `num_blocks` blocks. All
    stages except the first halve height and width. `inner_channels` has, by stage and
    block, the channels between a block's convolutions; None: those of the stage.
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
        size, first = (3, 3), scaled(self.width, self.channels[0])
        if inputs.ndim == 3:  # signals, as images that are one pixel wide
            inputs, size = inputs[:, :, None], (3, 1)
        x = Conv(first, kernel_size=size, use_bias=False, name="conv", **kinds)(inputs)
        x = relu(BatchNorm(not train, dtype=self.dtype, name="norm")(x))
        inner = self.inner_channels or [(n,) * self.num_blocks for n in self.channels]
        for stage, names in enumerate(self._blocks()):
            for i, name in enumerate(names):
                x = _Block(
                    scaled(self.width, self.channels[stage]),
                    scaled(self.width, inner[stage][i]),
                    size,
                    stride=2 if stage > 0 and i == 0 else 1,
                    name=name,
                    **kinds,
                )(x, train)
        return nn.Dense(self.num_classes, name="output", **kinds)(x.mean((1, 2)))

    def _blocks(self) -> list[list[str]]:
        """The names of the blocks of each stage."""
        stages, blocks = range(len(self.channels)), range(self.num_blocks)
        return [[f"stage_{stage}_block_{i}" for i in blocks] for stage in stages]

    def layout(self) -> Layout:
        """How its units connect: a stage's blocks share a residual stream."""
        places, past = [Place("conv", (Layer("conv", INPUTS, "norm"),))], "conv"
        for stage, names in enumerate(self._blocks()):
            for i, block in enumerate(names):
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
        stages = self._blocks()
        inner = tuple(tuple(sizes[f"{n}/conv_0"] for n in names) for names in stages)
        channels = tuple(sizes[names[0]] for names in stages)
        return self.clone(channels=channels, inner_channels=inner, width=1.0)


class _Block(nn.Module):
    channels: int
    inner_channels: int
    size: tuple[int, int]
    stride: int
    kernel_init: Initializer
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        kinds: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}
        kinds |= {"use_bias": False}
        conv: Any = functools.partial(Conv, kernel_size=self.size, **kinds)
        strides = (self.stride, self.stride)
        norm: Any = functools.partial(BatchNorm, not train, dtype=self.dtype)
        y = conv(self.inner_channels, strides=strides, name="conv_0")(x)
        y = relu(norm(name="norm_0")(y))
        y = norm(name="norm_1")(conv(self.channels, name="conv_1")(y))
        if self.stride != 1:
            across: Any = functools.partial(conv, kernel_size=(1, 1), name="shortcut")
            x = across(self.channels, strides=strides)(x)
            x = norm(name="shortcut_norm")(x)
        return relu(x + y)
