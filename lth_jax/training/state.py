"""State: all arrays that change while a member trains, and how masks project them."""

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

# A network as a pure function of (params, batch_stats, inputs, train, key). It returns
# logits and batch statistics: new ones in training, otherwise those it received. The key
# is for dropout and augmentation. It is None in evaluation, or in training without a key.
Apply = Callable[
    [Params, BatchStats, jax.Array, bool, jax.Array | None], tuple[jax.Array, BatchStats]
]


@flax.struct.dataclass
class TrainState:
    """All arrays that change while a member trains.

    The step, int32[], is the member's place in its budget. Pruned entries of params, and
    their moments in the optimizer's state, are exactly 0.
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
      ValueError: naming a leaf of the params that is no array, or whose dtype is neither
        float nor complex.
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

    A leaf of the moments (see `map_moments`) is masked if it has the param's shape.
    """

    def mask_leaf(mask: jax.Array, moment: Any) -> Any:
        # An optimizer may leave a leaf out, or keep only sums over it.
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
    """The last of one or more states of an optimizer, with its moments changed.

    Moments are the subtrees that `tx.init` makes from the whole pytree of params.
    `change` takes the moments at one place, one from each state, and returns the new
    ones. An `init` that reads single leaves, such as that of `optax.flatten`, has none.
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
    except Exception:  # of any kind, since that init is not part of this package
        return last
    parts = zip(*map(moments, first), own, strict=True)
    return mapped(lambda _: change(*next(parts)), last)


def with_frozen(apply_fn: Apply, constants: Params | None) -> Apply:
    """A net that adds constants to its params (mask-0 "freeze"); None: the net as it is.

    With `frozen(init, masks)` its pruned weights stay at their init. The params have
    exact zeros there, and therefore no decay and no moments; the net sees the constants.
    The constants are float leaves like the params, 0 where params train, and may be
    traced.
    """
    if constants is None:
        return apply_fn

    def apply(params: Params, *rest: Any) -> tuple[jax.Array, BatchStats]:
        return apply_fn(jax.tree.map(jnp.add, params, constants), *rest)

    return apply
