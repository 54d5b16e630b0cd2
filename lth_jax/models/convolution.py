"""Convolution: XLA's own, except where that is slow on CPU.

On CPU, XLA's weight gradient is 50 to 100 times slower inside a loop than outside
(jax-ml/jax issue 12868). A convolution over few pixels with many channels is as slow.
Both are therefore matrix products with patches on CPU. The weight gradient takes as many
examples at a time as fit in cache. Convolutions that would use one core alone are made a
row taller. `scripts/bench_models.py` measures the difference.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

_LAYOUT = ("NHWC", "HWIO", "NHWC")
# Measured on 2 cores with 1 MB of L2 each and 32 MB of shared L3. Sizes from 2.5 to 5 MB
# take the same time. Twice that size, or all patches at once, takes twice the time.
_PATCH_BYTES = 4_000_000
# With 2x2 output pixels and 512 channels, patches are 80 times as fast as XLA's own
# convolution. With 4x4 output pixels the two are equal.
_FEW_PIXELS = 4
# XLA runs a convolution to fewer than 128 channels on one core. With one more row it uses
# all cores: on 2 cores, 64 to 64 channels at 32x32 take 28 ms instead of 46. If every
# core has a net of its own, they take 27 ms instead of 24. With fewer rows there is no
# gain.
_ONE_CORE_CHANNELS = range(32, 128)
_MANY_ROWS = 32


class _Window(NamedTuple):
    """How a kernel moves over the height and width of its inputs."""

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]


def convolve(
    inputs: Float[jax.Array, "n height width read"],
    kernel: Float[jax.Array, "rows columns read written"],
    window_strides: Any,
    padding: Any,
    **plain: Any,
) -> Float[jax.Array, "n new_height new_width written"]:
    """A plain 2-D convolution; `nn.Conv(conv_general_dilated=convolve)` takes it.

    It defines its own gradients, and has therefore no forward-mode derivative
    (`jax.jvp`). Padding is "SAME", "VALID", or a (low, high) for each spatial axis. Other
    arguments that flax passes to `lax.conv_general_dilated` must have their defaults.

    Raises:
      ValueError: on a dilated or grouped convolution, or a precision or result type.
    """
    dilations = (plain.get(f"{side}_dilation") or () for side in ("lhs", "rhs"))
    dilated = any(d != 1 for dilation in dilations for d in dilation)
    groups = (plain.get(f"{kind}_group_count", 1) for kind in ("feature", "batch"))
    typed = plain.get("precision") or plain.get("preferred_element_type")
    if dilated or any(count != 1 for count in groups) or typed:
        raise ValueError("convolve: undilated, ungrouped, at default precision alone")
    strides, (_, *lengths, _) = tuple(window_strides), inputs.shape
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(lengths, kernel.shape[:2], strides, padding)
    around = tuple((low, high) for low, high in padding)
    return _convolve(_Window(strides, around), inputs, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolve(window: _Window, inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    return _forward(window, inputs, kernel)


def _convolve_bwd(
    window: _Window, residuals: tuple[jax.Array, jax.Array], cotangent: jax.Array
) -> tuple[jax.Array, jax.Array]:
    inputs, kernel = residuals
    ways = _kernel_gradient, _xla_kernel_gradient
    on_cpu, default = (functools.partial(way, window, kernel.shape) for way in ways)
    of_kernel = _by_platform(on_cpu, default, inputs, cotangent)
    return _input_gradient(window, inputs, kernel, cotangent), of_kernel


_convolve.defvjp(lambda window, *args: (_forward(window, *args), args), _convolve_bwd)


def _by_platform(
    on_cpu: Callable[..., jax.Array], default: Callable[..., jax.Array], *args: jax.Array
) -> jax.Array:
    result: jax.Array = lax.platform_dependent(*args, cpu=on_cpu, default=default)
    return result


def _xla(window: _Window, inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    result: jax.Array = lax.conv_general_dilated(
        inputs, kernel, window.strides, window.padding, dimension_numbers=_LAYOUT
    )
    return result


def _xla_kernel_gradient(
    window: _Window, shape: tuple[int, ...], inputs: jax.Array, cotangent: jax.Array
) -> jax.Array:
    kernel = jnp.zeros(shape, inputs.dtype)
    _, pull_back = jax.vjp(functools.partial(_xla, window, inputs), kernel)
    gradient: jax.Array = pull_back(cotangent)[0]
    return gradient


def _forward(window: _Window, inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    xla = functools.partial(_xla, window)
    _, num_rows, num_columns, _ = jax.eval_shape(xla, inputs, kernel).shape
    if num_rows * num_columns <= _FEW_PIXELS:
        on_cpu = functools.partial(_by_patches, window)
    elif (
        window.strides == (1, 1)
        and num_rows >= _MANY_ROWS
        and all(channels in _ONE_CORE_CHANNELS for channels in kernel.shape[2:])
    ):
        on_cpu = functools.partial(_with_a_row_more, window)
    else:
        return xla(inputs, kernel)
    return _by_platform(on_cpu, xla, inputs, kernel)


def _with_a_row_more(window: _Window, inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution as the first rows of a taller one.

    XLA passes convolutions to YNNPACK, which uses one core alone. It does not pass those
    whose result is taller than their inputs.
    """
    (low, high), columns = window.padding
    more = max(1, kernel.shape[0] - low - high)
    taller = window._replace(padding=((low, high + more), columns))
    return _xla(taller, inputs, kernel)[:, :-more]


def _by_patches(window: _Window, inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution as patches times kernel."""
    return _patches(window, kernel.shape, inputs) @ kernel.reshape(-1, kernel.shape[-1])


def _input_gradient(
    window: _Window, inputs: jax.Array, kernel: jax.Array, cotangent: jax.Array
) -> jax.Array:
    """Convolves the cotangent, dilated by the strides, with the flipped kernel.

    It is written out, since XLA's own transposition is slow on CPU inside a loop.
    """
    spreads, around = [(0, 0, 0)], []
    for axis, (stride, (low, high)) in enumerate(zip(*window, strict=True)):
        size, length = kernel.shape[axis], inputs.shape[axis + 1]
        unseen = low + length + high - size - (cotangent.shape[axis + 1] - 1) * stride
        low, high = size - 1 - low, size - 1 - high + unseen
        # `lax.pad` crops here, since a convolution takes no padding below 0. It changes
        # both ends at once: one end may crop more than there is before the other adds.
        crops = min(low, high) < 0
        spreads.append((low, high, stride - 1) if crops else (0, 0, stride - 1))
        around.append((0, 0) if crops else (low, high))
    zero = jnp.zeros((), cotangent.dtype)
    spread = lax.pad(cotangent, zero, [*spreads, (0, 0, 0)])
    turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    return _forward(_Window((1, 1), tuple(around)), spread, turned)


def _kernel_gradient(
    window: _Window, shape: tuple[int, ...], inputs: jax.Array, cotangent: jax.Array
) -> jax.Array:
    """Patches, transposed, times cotangent, summed over chunks of examples."""
    batch, height, width, num_outputs = cotangent.shape
    num_rows = shape[0] * shape[1] * shape[2]
    patch_bytes = height * width * num_rows * inputs.dtype.itemsize
    chunk = _largest_divisor(batch, _PATCH_BYTES // patch_bytes)

    def add(total: jax.Array, chunks: tuple[jax.Array, jax.Array]) -> Any:
        gradient = lax.dot_general(
            _patches(window, shape, chunks[0]).reshape(-1, num_rows),
            chunks[1].reshape(-1, num_outputs),
            (((0,), (0,)), ((), ())),
            preferred_element_type=jnp.float32,
        )
        return total + gradient, None

    chunks = jax.tree.map(
        lambda x: x.reshape(batch // chunk, chunk, *x.shape[1:]), (inputs, cotangent)
    )
    total, _ = lax.scan(add, jnp.zeros((num_rows, num_outputs), jnp.float32), chunks)
    return total.astype(inputs.dtype).reshape(shape)


def _largest_divisor(number: int, limit: int) -> int:
    return max(d for d in range(1, number + 1) if number % d == 0 and d <= max(1, limit))


def _patches(window: _Window, shape: tuple[int, ...], inputs: jax.Array) -> jax.Array:
    """The inputs that the kernel reads at each output pixel: [N, H', W', h * w * C]."""
    zero = jnp.zeros((), inputs.dtype)
    around = [(low, high, 0) for low, high in window.padding]
    padded = lax.pad(inputs, zero, [(0, 0, 0), *around, (0, 0, 0)])
    batch, height, width, channels = padded.shape
    # The distance from the first to the last pixel that a weight of the kernel reads.
    down = (height - shape[0]) // window.strides[0] * window.strides[0] + 1
    across = (width - shape[1]) // window.strides[1] * window.strides[1] + 1
    seen = [
        ((0, i, j, 0), (batch, i + down, j + across, channels))
        for i in range(shape[0])
        for j in range(shape[1])
    ]
    steps = (1, *window.strides, 1)
    return jnp.concatenate([lax.slice(padded, *ends, steps) for ends in seen], axis=-1)
