"""Layers that the convolutional families share."""

import functools

import flax.linen as nn
import jax

from lth_jax.models.convolution import convolve

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
