"""Layers that several families share, and how their weights are drawn."""

import functools
from typing import Any

import flax.linen as nn
import jax
from jax.nn.initializers import Initializer, variance_scaling

from lth_jax.models.convolution import convolve
from lth_jax.registry import Registry

_SCALES: Any = {"glorot": (1, "fan_avg"), "he": (2, "fan_in"), "lecun": (1, "fan_in")}
_SHAPES: Any = ("normal", "uniform", "truncated_normal")

# "normal" is the untruncated Gaussian, as in the paper (figure 2); jax's own
# `glorot_normal` and its kin truncate theirs. One of your own is (key, shape, dtype) to
# an array.
INITIALIZERS: Registry[Initializer] = Registry(
    "initializer",
    {
        f"{name}_{shape}": variance_scaling(scale, fan, shape)
        for name, (scale, fan) in _SCALES.items()
        for shape in _SHAPES
    },
)
# 3x3, "SAME", with our own gradients.
Conv = functools.partial(
    nn.Conv, kernel_size=(3, 3), conv_general_dilated=convolve, padding="SAME"
)
EPSILON = 1e-5  # what batch normalisation adds to variances
BatchNorm = functools.partial(nn.BatchNorm, momentum=0.9, epsilon=EPSILON)


def scaled(width: float, size: int) -> int:
    """Channels or units times a width factor, rounded, at least one."""
    return max(1, round(width * size))


def max_pool(x: jax.Array) -> jax.Array:
    """The largest of each 2x2 pixels; equal ones share the gradient.

    By reshaping: the gradient of XLA's own pooling is a scatter, slow on CPU.
    """
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max((2, 4))
