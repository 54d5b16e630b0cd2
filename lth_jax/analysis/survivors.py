"""Survivors: which inits survive pruning, and how many connections units keep.

Frankle & Carbin 2019, appendix F, examine the inits of winning tickets and the
connections of their units.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

Array = jax.Array | np.ndarray

NUM_BINS = 40  # of inits
NUM_RANKS = 21  # of units, evenly spaced, from the fewest connections to the most


class Inits(NamedTuple):
    """The inits of a layer's survivors, float32[...]; NaN if none is left; a pytree."""

    density: jax.Array  # [..., NUM_BINS], a histogram of area 1
    size: jax.Array  # their mean |init| divided by that of all the layer's weights
    positive: jax.Array  # the share above 0


class Connections(NamedTuple):
    """The connections of a layer's units, float32[...]; a pytree."""

    shares: jax.Array  # [..., NUM_RANKS], of connections that units keep, ascending
    # The standard deviation of units from the layer's mean, divided by that of random
    # masks. NaN if random masks do not vary, as in a dense layer.
    unevenness: jax.Array


def inits(
    init: Float[Array, "*shape"], kept: Bool[Array, "*shape"], most: Float[Array, ""]
) -> Inits:
    """Returns survivors' inits, binned from -most to most; pure, for `jit` and `vmap`."""
    number = kept.sum()
    has_any = jnp.where(number > 0, number, jnp.nan)
    width = 2 * most / NUM_BINS
    at = jnp.clip(jnp.floor((init + most) / width), 0, NUM_BINS - 1).astype(int)
    counts = jnp.zeros(NUM_BINS).at[at.ravel()].add(kept.ravel())
    size = jnp.where(kept, jnp.abs(init), 0).sum() / has_any / jnp.abs(init).mean()
    positive = (kept & (init > 0)).sum() / has_any
    return Inits(counts / has_any / width, size, positive)


def connections(kept: Bool[Array, "each units"]) -> Connections:
    """Returns shares and unevenness of units, the columns; pure, for `jit` and `vmap`.

    Shares between two units are interpolated. In a random mask, all sets of as many of
    the layer's weights are equally likely. The number that a unit keeps is then
    hypergeometric.
    """
    each, units = kept.shape
    share = jnp.asarray(kept).mean(0)
    shares = jnp.quantile(share, jnp.linspace(0, 1, NUM_RANKS))
    mean = share.mean()
    left = (each * units - each) / max(1, each * units - 1)
    chance = mean * (1 - mean) * left / each
    square = ((share - mean) ** 2).mean()
    return Connections(shares, jnp.sqrt(square / jnp.where(chance > 0, chance, jnp.nan)))
