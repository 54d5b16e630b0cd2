"""Frozen: pruned weights that stay at constants instead of 0."""

from typing import Any

import jax
import jax.numpy as jnp

from lth_jax.masks import Params
from lth_jax.training.state import Apply, BatchStats


def with_frozen(apply_fn: Apply, constants: Params | None) -> Apply:
    """A net that adds constants to its params (mask-0 "freeze"); None: the net as it is.

    With `frozen(init, masks)` its pruned weights stay at their init: params have exact
    zeros there, and so no decay and no moments, while the net sees the constants. These
    are float leaves like the params, 0 where those train, and may be traced.
    """
    if constants is None:
        return apply_fn

    def apply(params: Params, *rest: Any) -> tuple[jax.Array, BatchStats]:
        return apply_fn(jax.tree.map(jnp.add, params, constants), *rest)

    return apply
