"""Sharpness: how the loss changes from a solution towards what is pruned from it.

Paul et al. 2023, "Unmasking the lottery ticket hypothesis": how much a level may prune
depends on how flat the loss is along what it prunes.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lth_jax import masks as masks_lib
from lth_jax.analysis.spectrum import Product
from lth_jax.lottery.arms import actions
from lth_jax.masks import Masks, Params, Prunable, default_prunable


class Sharpness(NamedTuple):
    """Along the line from a solution to its projection on a mask, float32[]; a pytree."""

    curvature: jax.Array  # of the loss at the solution; NaN where nothing is pruned
    rise: jax.Array  # the loss at the projection, minus that at the solution


def sharpness(
    product: Product, loss: Callable[[Params], jax.Array], params: Params, masks: Masks
) -> Sharpness:
    """Of params, the solution, towards what the masks keep of them.

    The product is that of the Hessian of the loss with a direction, and the curvature
    d'Hd / d'd of the direction d: a mean of eigenvalues, each by its share of d. Pure,
    for `jit` and `vmap`.
    """
    kept = masks_lib.apply(masks, params)
    away = jax.tree.map(lambda x, y: y - x, params, kept)
    square = _dot(away, away)
    curvature = _dot(away, product(away)) / jnp.where(square > 0, square, jnp.nan)
    return Sharpness(curvature, loss(kept) - loss(params))


def pruned_at_random(
    key: jax.Array, kept: Masks, masks: Masks, prunable: Prunable = default_prunable
) -> Masks:
    """Masks within those that are kept, with as many of each leaf as the others, drawn.

    Pure, for `jit` and `vmap`.
    """
    flags = jax.tree.map(lambda m: jnp.asarray(m, jnp.float32), masks)
    drawn = actions.reshuffle(key, flags, kept, prunable)
    return jax.tree.map(lambda x: x > 0, drawn)


def _dot(a: Params, b: Params) -> jax.Array:
    parts = jax.tree.map(jnp.vdot, a, b)
    return jnp.sum(jnp.stack(jax.tree.leaves(parts)))
