"""Layers that several families share, and how their weights are drawn."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import orthogonal, variance_scaling

from lth_jax.models.convolution import convolve
from lth_jax.registry import Registry

Draw = Callable[..., jax.Array]  # from (key, shape, dtype) to an array
_SCALES: Any = {"glorot": (1, "fan_avg"), "he": (2, "fan_in"), "lecun": (1, "fan_in")}
_SHAPES: Any = ("normal", "uniform", "truncated_normal")


def _signs(scale: float, fan: str) -> Draw:
    """As `variance_scaling`, but every weight is plus or minus the standard deviation."""

    def init(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        fan_in, fan_out = (math.prod(shape[:-2]) * size for size in shape[-2:])
        fans = {"fan_in": fan_in, "fan_avg": (fan_in + fan_out) / 2}
        deviation = math.sqrt(scale / fans[fan])
        return deviation * jax.random.rademacher(key, shape, dtype)

    return init


def _plain(shape: Any) -> Draw:
    """An initializer of standard deviation 1, for weights of any shape."""

    def init(key: jax.Array, size: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        drawn = variance_scaling(1, "fan_in", shape)(key, (1, math.prod(size)), dtype)
        return drawn.reshape(size)

    return init


def _orthogonal(key: jax.Array, *shape_and_dtype: Any) -> jax.Array:
    """The orthogonal initializer of jax, which draws members one after the other.

    On CPU, with jax 0.10, two batched QR decompositions in one program can deadlock if
    there are few threads.
    """
    one_by_one: Any = jax.custom_batching.sequential_vmap
    drawn: jax.Array = one_by_one(lambda k: orthogonal()(k, *shape_and_dtype))(key)
    return drawn


def times(scale: float, init: Draw) -> Draw:
    """An initializer whose draws are multiplied by `scale`; `init` itself if it is 1."""

    def scaled(*args: Any) -> jax.Array:
        return scale * init(*args)

    return init if scale == 1 else scaled


# "normal" is the untruncated Gaussian, as in the paper (figure 2). jax's own
# `glorot_normal` and similar initializers truncate. "signs" draws plus or minus one
# number. Names without a scale have standard deviation 1, except "orthogonal". Your own
# initializer is also a `Draw`.
INITIALIZERS: Registry[Draw] = Registry(
    "initializer",
    {
        f"{name}_{shape}": variance_scaling(scale, fan, shape)
        for name, (scale, fan) in _SCALES.items()
        for shape in _SHAPES
    }
    | {f"{name}_signs": _signs(scale, fan) for name, (scale, fan) in _SCALES.items()}
    | {shape: _plain(shape) for shape in _SHAPES}
    | {"orthogonal": _orthogonal},
)
# A 3x3 convolution with "SAME" padding and the gradients of `convolve`.
Conv = functools.partial(
    nn.Conv, kernel_size=(3, 3), conv_general_dilated=convolve, padding="SAME"
)
EPSILON = 1e-5  # what batch normalisation adds to variances
BatchNorm = functools.partial(nn.BatchNorm, momentum=0.9, epsilon=EPSILON)


def scaled(width: float, size: int) -> int:
    """Channels or units times a width factor, rounded, at least one."""
    return max(1, round(width * size))


def relu(x: jax.Array) -> jax.Array:
    """The larger of x and 0, of x's shape and dtype; bfloat16 passes through float32.

    On CPU, jax 0.11.2 and 0.12.0.1 compute ReLUs of bfloat16 wrong, often without a NaN.
    To report to openxla/xla: a bfloat16 scalar, constant or param, that two
    `maximum` or `minimum` share in one YNNPACK fusion. The smallest program:
    `relu(-relu(conv(x, k))).max((1, 2))` in bfloat16, jitted, with x [2, 8, 8, 16], k
    [3, 3, 16, 32] and relu `jnp.maximum(_, 0)`: nearly every value is wrong. It is right
    in float32, with two different scalars, without the reduction that roots the fusion,
    and with `--xla_cpu_experimental_ynn_fusion_type=`. jax 0.10 itself makes a float32
    `maximum` of it, as is done here: float32 holds every bfloat16, so no value changes.
    """
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return jax.nn.relu(wide).astype(x.dtype)


@jax.custom_jvp
def max_pool(x: jax.Array) -> jax.Array:
    """The largest of each 2x2 pixels; equal pixels share the gradient.

    [N, H, W, C] becomes [N, H / 2, W / 2, C] by reshaping. The gradient of XLA's own
    pooling is a scatter, which is slow on CPU.
    """
    return _windows(x).max((2, 4))


@max_pool.defjvp
def _max_pool_jvp(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """The derivative compares pixels with one another, not with the result as jax does.

    XLA may compute x again for the derivative, with different rounding. Then no pixel
    equals the result, and the gradient would be lost.
    """
    x, tangent = map(_windows, (*primals, *tangents))
    others = (jnp.flip(x, axes) for axes in (2, 4, (2, 4)))
    share = functools.reduce(jnp.logical_and, (x >= other for other in others))
    share = share.astype(x.dtype)
    return max_pool(*primals), (tangent * share).sum((2, 4)) / share.sum((2, 4))


def _windows(x: jax.Array) -> jax.Array:
    """The pixels as [n, height / 2, 2, width / 2, 2, channels]."""
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels)
