"""Frozen: pruned weights that stay at constants instead of 0."""

import jax
import jax.numpy as jnp

from lth_jax.masks import Params
from lth_jax.training.state import Apply, BatchStats


def with_frozen(apply_fn: Apply, constants: Params | None) -> Apply:
    """A net that adds constants to its params (mask-0 "freeze").

    With `frozen(init, masks)` its pruned weights stay at their init: params have exact
    zeros there, and so no decay and no moments, while the net sees the constants.

    Args:
      apply_fn: the net.
      constants: float leaves like the params, 0 where these train. May be traced. None:
        the net as it is.
    """
    if constants is None:
        return apply_fn

    def apply(
        params: Params,
        batch_stats: BatchStats,
        inputs: jax.Array,
        train: bool,
        key: jax.Array | None,
    ) -> tuple[jax.Array, BatchStats]:
        params = jax.tree.map(jnp.add, params, constants)
        return apply_fn(params, batch_stats, inputs, train, key)

    return apply
