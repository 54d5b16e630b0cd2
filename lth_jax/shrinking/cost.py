"""Cost: how much a net stores and multiplies, with all weights or live ones alone."""

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lth_jax.errors import name_of
from lth_jax.masks import Masks, Params, check, named_leaves
from lth_jax.models.network import in_mode
from lth_jax.shrinking.products import multiply_adds
from lth_jax.training.state import BatchStats


class Cost(NamedTuple):
    """Counts of one net.

    A masked net stores and multiplies its zeros. The `live` counts leave them out, and a
    compact net comes near these counts. Multiply-adds are those of one example's forward
    pass with weights; see `lth_jax.shrinking.products`.
    """

    num_params: int
    num_live_params: int  # params that the masks keep
    num_bytes: int  # of params and batch statistics, in their dtypes
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
    """The cost of a net, from its traced program, without running it.

    The module is a linen module, or a net of any framework as a function, an
    `lth_jax.training.Apply`. `input_shape` is the shape of one example, and `dtype` is
    that of the inputs.

    Raises:
      AssertionError: on masks that do not fit the params.
      NotCounted: as `multiply_adds`.
      ValueError: on any other module.
    """
    check(masks, params)
    _check_module(module)
    stats = {} if batch_stats is None else batch_stats

    def apply(params: Params, stats: BatchStats, inputs: jax.Array) -> Any:
        if not isinstance(module, nn.Module):
            return module(params, stats, inputs, False, None)
        variables = {"params": params, "batch_stats": stats}
        return module.apply(variables, inputs, **in_mode(module, False))

    batch = jax.ShapeDtypeStruct((1, *input_shape), dtype)
    products = multiply_adds(apply, params, stats, batch)
    sizes = {path: param.size for path, param in named_leaves(params)}
    live = {path: int(np.count_nonzero(mask)) for path, mask in named_leaves(masks)}
    stored = jax.tree.leaves((params, stats))
    return Cost(
        num_params=sum(sizes.values()),
        num_live_params=sum(live.values()),
        num_bytes=sum(leaf.size * leaf.dtype.itemsize for leaf in stored),
        multiply_adds=sum(products.values()),
        live_multiply_adds=sum(n * live[p] // sizes[p] for p, n in products.items()),
    )


def _check_module(module: Any) -> None:
    try:
        if isinstance(module, type):
            raise TypeError
        if not isinstance(module, nn.Module):
            inspect.signature(module).bind("params", "stats", "inputs", False, None)
    except TypeError:
        raise ValueError(
            f"module: {name_of(module)}; must be a module of linen, or a function of"
            " params, batch_stats, inputs, train and key"
        ) from None
