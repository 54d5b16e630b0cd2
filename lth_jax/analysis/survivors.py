"""Survivors: which inits survive pruning, and how many connections units keep.

Frankle & Carbin 2019, appendix F: the inits of winning tickets, and the connections of
their units.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

Array = jax.Array | np.ndarray

NUM_BINS = 40  # of inits
NUM_RANKS = 21  # of units, evenly from the one with the fewest connections


class Inits(NamedTuple):
    """Of a layer's survivors, float32[...]; NaN where none is left; a pytree."""

    density: jax.Array  # [..., NUM_BINS], whose area is 1
    size: jax.Array  # the mean |init|, over that of all the layer's weights
    positive: jax.Array  # the share above 0


class Connections(NamedTuple):
    """Of a layer's units, float32[...]; a pytree."""

    shares: jax.Array  # [..., NUM_RANKS], that a unit keeps, from the fewest to the most
    # The deviation of units from the layer's mean, over the one by chance; NaN where
    # there is no chance, as in a dense layer.
    unevenness: jax.Array


def inits(
    init: Float[Array, "*shape"], kept: Bool[Array, "*shape"], most: Float[Array, ""]
) -> Inits:
    """Of the survivors, in even bins from -most to most; pure, for `jit` and `vmap`."""
    number = kept.sum()
    has_any = jnp.where(number > 0, number, jnp.nan)
    width = 2 * most / NUM_BINS
    at = jnp.clip(jnp.floor((init + most) / width), 0, NUM_BINS - 1).astype(int)
    counts = jnp.zeros(NUM_BINS).at[at.ravel()].add(kept.ravel())
    size = jnp.where(kept, jnp.abs(init), 0).sum() / has_any / jnp.abs(init).mean()
    positive = (kept & (init > 0)).sum() / has_any
    return Inits(counts / has_any / width, size, positive)


def connections(kept: Bool[Array, "each units"]) -> Connections:
    """Of units whose connections are the columns; pure, for `jit` and `vmap`.

    Shares between two units are interpolated. By chance the number that a unit
    keeps is hypergeometric: all sets of as many of the layer's weights are as likely.
    """
    each, units = kept.shape
    share = jnp.asarray(kept).mean(0)
    shares = jnp.quantile(share, jnp.linspace(0, 1, NUM_RANKS))
    mean = share.mean()
    left = (each * units - each) / max(1, each * units - 1)
    chance = mean * (1 - mean) * left / each
    square = ((share - mean) ** 2).mean()
    return Connections(shares, jnp.sqrt(square / jnp.where(chance > 0, chance, jnp.nan)))
