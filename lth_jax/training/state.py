"""State: all that changes while a member trains, and what stays as it is in it."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from lth_jax import masks as masks_lib
from lth_jax.leaves import check_arrays, named_leaves
from lth_jax.masks import Masks, Params

BatchStats = Any  # a pytree of arrays; empty for nets without batch normalisation
Array = jax.Array | np.ndarray
Optimizer: TypeAlias = optax.GradientTransformation

# A network as a pure function: (params, batch_stats, inputs, train, key) to logits and,
# in training, the new batch statistics; otherwise those it was given. The key, for
# dropout and augmentation, is None in evaluation, and where training was given none.
Apply = Callable[
    [Params, BatchStats, jax.Array, bool, jax.Array | None], tuple[jax.Array, BatchStats]
]


@flax.struct.dataclass
class TrainState:
    """All that changes while a member trains: arrays alone.

    The step, an int32 scalar, is where in its budget the member is. Pruned entries of
    params, and their moments in the optimizer's state, are exactly 0.
    """

    step: jax.Array
    params: Params
    batch_stats: BatchStats
    opt_state: optax.OptState


def initial_state(
    params: Params, tx: Optimizer, batch_stats: BatchStats = None
) -> TrainState:
    """The state at step 0, with a fresh optimizer.

    Raises:
      ValueError: naming a leaf of the params that cannot be trained: no array, or
        neither of floats nor complex.
    """
    check_arrays("params", params)
    for path, param in named_leaves(params):
        if not jnp.issubdtype(param.dtype, jnp.inexact):
            raise ValueError(
                f"params: {path} is {param.dtype}; must be float or complex, to be"
                " trained; what is not goes beside the params, or into the net's function"
            )
    stats = {} if batch_stats is None else batch_stats
    return TrainState(jnp.int32(0), params, stats, tx.init(params))


def project(state: TrainState, masks: Masks, tx: Optimizer) -> TrainState:
    """The state with every pruned entry of params and of their moments exactly 0.

    Of the moments (see `map_moments`), leaf by leaf where the shape is the param's too.
    """

    def mask_leaf(mask: jax.Array, moment: Any) -> Any:
        # An optimizer may leave a leaf out, or keep sums of it.
        is_alike = getattr(moment, "shape", None) == mask.shape
        return jnp.where(mask, moment, jnp.zeros_like(moment)) if is_alike else moment

    mask_moments = functools.partial(jax.tree.map, mask_leaf, masks)
    opt_state = map_moments(mask_moments, tx, state.opt_state)
    params = masks_lib.apply(masks, state.params)
    return dataclasses.replace(state, params=params, opt_state=opt_state)


def map_moments(
    change: Callable[..., Any],
    tx: Optimizer,
    opt_state: optax.OptState,
    *others: optax.OptState,
) -> optax.OptState:
    """The last of some states of one optimizer, with its moments changed.

    Moments are what `tx.init` makes from the whole pytree of params; `change` makes new
    ones of those that the states have in one place. An `init` that looks at single
    leaves, such as that of `optax.flatten`, has none.
    """

    def mapped(change: Callable[[Any], Any], state: optax.OptState) -> optax.OptState:
        return optax.tree.map_params(tx, change, state, is_leaf=lambda _: True)

    def moments(state: optax.OptState) -> list[Any]:
        found: list[Any] = []
        mapped(found.append, state)
        return found

    *first, last = opt_state, *others
    try:
        own = moments(last)
    except Exception:  # of whatever kind: that init is no code of ours
        return last
    parts = zip(*map(moments, first), own, strict=True)
    return mapped(lambda _: change(*next(parts)), last)


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
