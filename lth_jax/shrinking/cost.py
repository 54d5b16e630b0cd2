"""Cost: what a net stores and multiplies, as it is and counting live weights alone."""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax.errors import UserError
from lth_jax.masks import Masks, Params, check, named_leaves
from lth_jax.models.network import in_mode
from lth_jax.training.state import BatchStats


class NotCounted(UserError, ValueError):
    """A kernel whose products cannot be counted."""


class Cost(NamedTuple):
    """Counts of one net.

    A masked net stores and multiplies its zeros; the `live` counts are what it would
    without them, and what a compact net comes near. Multiply-adds are those of one
    example's forward pass with kernels (a convolution's padding counts), and no others.
    """

    num_params: int
    num_live_params: int  # that the masks keep
    num_bytes: int  # of params and batch statistics, as they are stored
    multiply_adds: int
    live_multiply_adds: int  # with weights that the masks keep


def cost(
    module: Any,
    params: Params,
    masks: Masks,
    input_shape: Sequence[int],
    batch_stats: BatchStats = None,
    dtype: Any = jnp.float32,
) -> Cost:
    """What a net costs; nothing is computed with its weights.

    The module is of linen, its kernels in layers of linen (`nn.Dense`, `nn.Conv`, or
    `nn.DenseGeneral` with a bias). `input_shape` is that of one example, as the module
    takes it, and `dtype` the inputs'.

    Raises:
      AssertionError: on masks that do not fit the params.
      NotCounted: naming a kernel that is in no layer of linen.
    """
    check(masks, params)
    variables = {"params": params, "batch_stats": batch_stats or {}}
    batch = jax.ShapeDtypeStruct((1, *input_shape), dtype)
    capture = {"capture_intermediates": True, "mutable": ["intermediates"]}
    apply = functools.partial(module.apply, **in_mode(module, False), **capture)
    _, found = jax.eval_shape(apply, variables, batch)
    output_of = dict(named_leaves(found["intermediates"]))
    param_of, mask_of = dict(named_leaves(params)), dict(named_leaves(masks))
    live = {path: int(np.count_nonzero(mask)) for path, mask in mask_of.items()}
    pixels = {}
    for path in [path for path in param_of if path.rsplit("/", 1)[-1] == "kernel"]:
        layer = path.removesuffix("kernel")
        output = output_of.get(f"{layer}__call__/0")
        if output is None:
            raise NotCounted(
                f"params: {path} is of no layer of linen that gives one array; its"
                " multiply-adds cannot be counted"
            )
        bias = param_of.get(f"{layer}bias")  # its axes are those of the units
        pixels[path] = math.prod(output.shape[: -1 if bias is None else -bias.ndim])
    return Cost(
        num_params=sum(param.size for param in param_of.values()),
        num_live_params=sum(live.values()),
        num_bytes=sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(variables)),
        multiply_adds=sum(pixels[path] * param_of[path].size for path in pixels),
        live_multiply_adds=sum(pixels[path] * live[path] for path in pixels),
    )
