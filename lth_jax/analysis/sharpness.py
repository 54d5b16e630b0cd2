"""Sharpness: how the loss changes from a solution towards its pruned version.

It follows Paul et al. 2023, "Unmasking the lottery ticket hypothesis". How much a level
can prune depends on how flat the loss is in the direction of pruning.
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
    """The loss from a solution to its projection on a mask, float32[]; a pytree."""

    curvature: jax.Array  # of the loss at the solution; NaN if nothing is pruned
    rise: jax.Array  # the loss at the projection, minus that at the solution


def sharpness(
    product: Product, loss: Callable[[Params], jax.Array], params: Params, masks: Masks
) -> Sharpness:
    """Returns the sharpness from params, the solution, to what the masks keep of them.

    `product` multiplies the Hessian H of the loss by a direction. The curvature in a
    direction d is d'Hd / d'd. It is a mean of eigenvalues, weighted by their shares of d.
    Pure, for `jit` and `vmap`.
    """
    kept = masks_lib.apply(masks, params)
    away = jax.tree.map(lambda x, y: y - x, params, kept)
    square = _dot(away, away)
    curvature = _dot(away, product(away)) / jnp.where(square > 0, square, jnp.nan)
    return Sharpness(curvature, loss(kept) - loss(params))


def pruned_at_random(
    key: jax.Array, kept: Masks, masks: Masks, prunable: Prunable = default_prunable
) -> Masks:
    """Draws masks within `kept` that keep as many weights of each leaf as `masks`.

    Pure, for `jit` and `vmap`.
    """
    flags = jax.tree.map(lambda m: jnp.asarray(m, jnp.float32), masks)
    drawn = actions.reshuffle(key, flags, kept, prunable)
    return jax.tree.map(lambda x: x > 0, drawn)


def _dot(a: Params, b: Params) -> jax.Array:
    parts = jax.tree.map(jnp.vdot, a, b)
    return jnp.sum(jnp.stack(jax.tree.leaves(parts)))
