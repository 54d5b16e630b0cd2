"""Convolution: XLA's own, but for what is slow on CPU.

XLA's weight gradient runs 50 to 100 times slower inside a loop on CPU than outside
(jax-ml/jax issue 12868), and a convolution over few pixels with many channels as much
slower than its work. There, both are made of matrix products with patches; the weight
gradient's with those of so many examples at a time as stay in cache. Convolutions that
would keep to one core are made a row taller. `scripts/bench_models.py` shows the
difference.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

_LAYOUT = ("NHWC", "HWIO", "NHWC")
# Measured on 2 cores with 1 MB of L2 each and 32 MB of shared L3: 2.5 to 5 MB are
# equal, and twice as much, or all patches at once, takes twice the time.
_PATCH_BYTES = 4_000_000
# To 2x2 output pixels with 512 channels, where XLA's own collapses, patches are 80 times
# as fast; to 4x4 the two are equal.
_FEW_PIXELS = 4
# XLA's to fewer than 128 channels runs on one core; with a row more it runs on all. On
# 2 cores, 64 to 64 channels at 32x32 take 28 ms for 46. Where every core has a net of
# its own they take 27 for 24, and with fewer rows the row more costs what it brings.
_ONE_CORE_CHANNELS = range(32, 128)
_MANY_ROWS = 32

Strides = tuple[int, int]
Padding = tuple[tuple[int, int], tuple[int, int]]


def convolve(
    inputs: jax.Array,
    kernel: jax.Array,
    window_strides: Any,
    padding: Any,
    **plain: Any,
) -> jax.Array:
    """A plain 2-D convolution; `nn.Conv(conv_general_dilated=convolve)` takes it.

    It has gradients of its own, and so no forward-mode derivative (`jax.jvp`).

    Args:
      inputs: [N, H, W, C].
      kernel: [h, w, C, K].
      window_strides: two integers.
      padding: "SAME", "VALID", or a (low, high) for each spatial axis.
      **plain: what else flax gives to `lax.conv_general_dilated`; only what leaves a
        plain convolution as it is.

    Returns:
      [N, H', W', K].

    Raises:
      ValueError: on a dilated or grouped convolution, or a precision or result type.
    """
    dilations = (plain.get(f"{side}_dilation") or () for side in ("lhs", "rhs"))
    dilated = any(d != 1 for dilation in dilations for d in dilation)
    groups = (plain.get(f"{kind}_group_count", 1) for kind in ("feature", "batch"))
    typed = plain.get("precision") or plain.get("preferred_element_type")
    if dilated or any(count != 1 for count in groups) or typed:
        raise ValueError("convolve: undilated, ungrouped, at default precision alone")
    strides = tuple(window_strides)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(
            inputs.shape[1:3], kernel.shape[:2], strides, padding
        )
    return _convolve(strides, tuple(map(tuple, padding)), inputs, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _convolve(
    strides: Strides, padding: Padding, inputs: jax.Array, kernel: jax.Array
) -> jax.Array:
    return _forward(strides, padding, inputs, kernel)


def _convolve_fwd(
    strides: Strides, padding: Padding, inputs: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _forward(strides, padding, inputs, kernel), (inputs, kernel)


def _convolve_bwd(
    strides: Strides,
    padding: Padding,
    residuals: tuple[jax.Array, jax.Array],
    cotangent: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    inputs, kernel = residuals
    of_kernel: jax.Array = lax.platform_dependent(
        inputs,
        cotangent,
        cpu=functools.partial(_kernel_gradient, strides, padding, kernel.shape),
        default=functools.partial(_xla_kernel_gradient, strides, padding, kernel.shape),
    )
    return _input_gradient(strides, padding, inputs, kernel, cotangent), of_kernel


_convolve.defvjp(_convolve_fwd, _convolve_bwd)


def _xla(
    strides: Strides, padding: Padding, inputs: jax.Array, kernel: jax.Array
) -> jax.Array:
    result: jax.Array = lax.conv_general_dilated(
        inputs, kernel, strides, padding, dimension_numbers=_LAYOUT
    )
    return result


def _xla_kernel_gradient(
    strides: Strides,
    padding: Padding,
    shape: tuple[int, ...],
    inputs: jax.Array,
    cotangent: jax.Array,
) -> jax.Array:
    kernel = jnp.zeros(shape, inputs.dtype)
    _, pull_back = jax.vjp(lambda k: _xla(strides, padding, inputs, k), kernel)
    gradient: jax.Array = pull_back(cotangent)[0]
    return gradient


def _forward(
    strides: Strides, padding: Padding, inputs: jax.Array, kernel: jax.Array
) -> jax.Array:
    num_rows, num_columns = (
        (length + sum(pads) - size) // stride + 1
        for length, pads, size, stride in zip(
            inputs.shape[1:3], padding, kernel.shape[:2], strides, strict=True
        )
    )
    if num_rows * num_columns <= _FEW_PIXELS:
        on_cpu = _by_patches
    elif (
        strides == (1, 1)
        and num_rows >= _MANY_ROWS
        and all(channels in _ONE_CORE_CHANNELS for channels in kernel.shape[2:])
    ):
        on_cpu = _with_a_row_more
    else:
        return _xla(strides, padding, inputs, kernel)
    result: jax.Array = lax.platform_dependent(
        inputs,
        kernel,
        cpu=functools.partial(on_cpu, strides, padding),
        default=functools.partial(_xla, strides, padding),
    )
    return result


def _with_a_row_more(
    strides: Strides, padding: Padding, inputs: jax.Array, kernel: jax.Array
) -> jax.Array:
    """The convolution as the first rows of a taller one.

    XLA leaves to YNNPACK, which keeps to one core, no convolution whose result is taller
    than its inputs.
    """
    (low, high), columns = padding
    more = max(1, kernel.shape[0] - low - high)
    taller = _xla(strides, ((low, high + more), columns), inputs, kernel)
    return taller[:, :-more]


def _by_patches(
    strides: Strides, padding: Padding, inputs: jax.Array, kernel: jax.Array
) -> jax.Array:
    """The convolution as patches times kernel."""
    return _patches(inputs, kernel.shape, strides, padding) @ kernel.reshape(
        -1, kernel.shape[-1]
    )


def _input_gradient(
    strides: Strides,
    padding: Padding,
    inputs: jax.Array,
    kernel: jax.Array,
    cotangent: jax.Array,
) -> jax.Array:
    """The cotangent, spread out by the strides, through the kernel turned around.

    Written out, since XLA's own transposition is slow on CPU inside a loop.
    """
    around = []
    for size, length, out, stride, (low, high) in zip(
        kernel.shape[:2],
        inputs.shape[1:3],
        cotangent.shape[1:3],
        strides,
        padding,
        strict=True,
    ):
        unseen = low + length + high - size - (out - 1) * stride
        around.append((size - 1 - low, size - 1 - high + unseen))
    # A convolution crops nothing (padding below 0), so that this does.
    cropped = [
        (min(low, 0), min(high, 0), stride - 1)
        for (low, high), stride in zip(around, strides, strict=True)
    ]
    spread = lax.pad(
        cotangent, jnp.zeros((), cotangent.dtype), [(0, 0, 0), *cropped, (0, 0, 0)]
    )
    rows, columns = ((max(low, 0), max(high, 0)) for low, high in around)
    turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    return _forward((1, 1), (rows, columns), spread, turned)


def _kernel_gradient(
    strides: Strides,
    padding: Padding,
    shape: tuple[int, ...],
    inputs: jax.Array,
    cotangent: jax.Array,
) -> jax.Array:
    """Patches, transposed, times cotangent, summed over chunks of examples."""
    batch, height, width, num_outputs = cotangent.shape
    num_rows = shape[0] * shape[1] * shape[2]
    patch_bytes = height * width * num_rows * inputs.dtype.itemsize
    chunk = _largest_divisor(batch, _PATCH_BYTES // patch_bytes)

    def add(total: jax.Array, chunks: tuple[jax.Array, jax.Array]) -> Any:
        patches = _patches(chunks[0], shape, strides, padding)
        gradient = lax.dot_general(
            patches.reshape(-1, num_rows),
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


def _patches(
    inputs: jax.Array, shape: tuple[int, ...], strides: Strides, padding: Padding
) -> jax.Array:
    """What the kernel sees at each output pixel: [N, H', W', h * w * C]."""
    zero = jnp.zeros((), inputs.dtype)
    around = [(low, high, 0) for low, high in padding]
    padded = lax.pad(inputs, zero, [(0, 0, 0), *around, (0, 0, 0)])
    batch, height, width, channels = padded.shape
    rows = (height - shape[0]) // strides[0] + 1
    columns = (width - shape[1]) // strides[1] + 1
    shifted = [
        lax.slice(
            padded,
            (0, i, j, 0),
            (
                batch,
                i + (rows - 1) * strides[0] + 1,
                j + (columns - 1) * strides[1] + 1,
                channels,
            ),
            (1, *strides, 1),
        )
        for i in range(shape[0])
        for j in range(shape[1])
    ]
    return jnp.concatenate(shifted, axis=-1)
