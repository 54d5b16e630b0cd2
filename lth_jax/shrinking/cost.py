"""Cost: what a net stores and multiplies, as it is and counting live weights alone."""

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
    without them, and what a compact net comes near.

    Attributes:
      num_params: entries of the params.
      num_live_params: those that the masks keep.
      num_bytes: of params and batch statistics, as they are stored.
      multiply_adds: of one example's forward pass, in kernels (a convolution's padding
        counted); what is not a product with a kernel does not count.
      live_multiply_adds: those with weights that the masks keep.
    """

    num_params: int
    num_live_params: int
    num_bytes: int
    multiply_adds: int
    live_multiply_adds: int


def cost(
    module: Any,
    params: Params,
    masks: Masks,
    input_shape: Sequence[int],
    batch_stats: BatchStats = None,
    dtype: Any = jnp.float32,
) -> Cost:
    """What a net costs; nothing is computed with its weights.

    Args:
      module: of linen, its kernels in layers of linen (`nn.Dense`, `nn.Conv`, or
        `nn.DenseGeneral` with a bias).
      params: its weights.
      masks: theirs.
      input_shape: of one example, as the module takes it.
      batch_stats: its running statistics, if it has batch normalisation.
      dtype: of the inputs, as the module takes them.

    Raises:
      AssertionError: on masks that do not fit the params.
      NotCounted: naming a kernel that is in no layer of linen.
    """
    check(masks, params)
    stats = {} if batch_stats is None else batch_stats
    outputs = jax.eval_shape(
        lambda params, stats, inputs: module.apply(
            {"params": params, "batch_stats": stats},
            inputs,
            **in_mode(module, False),
            capture_intermediates=True,
            mutable=["intermediates"],
        )[1]["intermediates"],
        params,
        stats,
        jax.ShapeDtypeStruct((1, *input_shape), dtype),
    )
    output_of, param_of = dict(named_leaves(outputs)), dict(named_leaves(params))
    products = live_products = 0
    for (path, param), mask in zip(
        named_leaves(params), jax.tree.leaves(masks), strict=True
    ):
        if path.rsplit("/", 1)[-1] == "kernel":
            layer = path.removesuffix("kernel")
            output = output_of.get(f"{layer}__call__/0")
            if output is None:
                raise NotCounted(
                    f"params: {path} is of no layer of linen that gives one array; its"
                    " multiply-adds cannot be counted"
                )
            bias = param_of.get(f"{layer}bias")  # its axes are those of the units
            pixels = math.prod(output.shape[: -1 if bias is None else -bias.ndim])
            products += pixels * param.size
            live_products += pixels * int(np.count_nonzero(mask))
    leaves = jax.tree.leaves(params)
    return Cost(
        num_params=sum(p.size for p in leaves),
        num_live_params=sum(int(np.count_nonzero(m)) for m in jax.tree.leaves(masks)),
        num_bytes=sum(x.size * x.dtype.itemsize for x in leaves + jax.tree.leaves(stats)),
        multiply_adds=products,
        live_multiply_adds=live_products,
    )
