"""State: all that changes while a member trains, and what stays 0 in it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from lth_jax import masks as masks_lib
from lth_jax.masks import Masks, Params

BatchStats = Any  # a pytree of arrays; empty for nets without batch normalisation
Array = jax.Array | np.ndarray

# A network as a pure function: (params, batch_stats, inputs, train, key) to logits and,
# in training, the new batch statistics; otherwise those it was given. The key, for
# dropout and augmentation, is None in evaluation, and where training was given none.
Apply = Callable[
    [Params, BatchStats, jax.Array, bool, jax.Array | None],
    tuple[jax.Array, BatchStats],
]


@flax.struct.dataclass
class TrainState:
    """All that changes while a member trains: arrays alone.

    Attributes:
      step: int32 scalar, where in its budget the member is.
      params: the weights; pruned entries are exactly 0.
      batch_stats: running statistics of batch normalisation.
      opt_state: the optimizer's; its moments are 0 where params are pruned.
    """

    step: jax.Array
    params: Params
    batch_stats: BatchStats
    opt_state: optax.OptState


def initial_state(
    params: Params, tx: optax.GradientTransformation, batch_stats: BatchStats = None
) -> TrainState:
    """The state at step 0, with a fresh optimizer."""
    stats = {} if batch_stats is None else batch_stats
    return TrainState(jnp.int32(0), params, stats, tx.init(params))


def project(state: TrainState, masks: Masks) -> TrainState:
    """The state with every pruned entry of params and of their moments exactly 0.

    Of the moments (see `map_moments`), leaf by leaf where the shape is the param's too.
    """

    def mask_moments(moments: Any) -> Any:
        return jax.tree.map(
            lambda m, x: jnp.where(m, x, jnp.zeros_like(x)) if x.shape == m.shape else x,
            masks,
            moments,
        )

    return dataclasses.replace(
        state,
        params=masks_lib.apply(masks, state.params),
        opt_state=map_moments(mask_moments, masks, state.opt_state),
    )


def map_moments(
    change: Callable[..., Any],
    params: Params,
    opt_state: optax.OptState,
    *others: optax.OptState,
) -> optax.OptState:
    """The optimizer's state with its moments changed; otherwise the last state given.

    Moments are its parts that have the params' structure.

    Args:
      change: of the moments, and of those of each other state, to new ones.
      params: or anything of their structure.
      opt_state: the state.
      *others: states of the same optimizer.
    """
    structure: Any = jax.tree.structure(params)

    def is_moments(node: Any) -> bool:
        return bool(structure == jax.tree.structure(node))

    def changed(node: Any, *parts: Any) -> Any:
        return change(node, *parts) if is_moments(node) else (node, *parts)[-1]

    return jax.tree.map(changed, opt_state, *others, is_leaf=is_moments)
