"""Movement: how far, and which way, training moves weights.

Distances follow Frankle & Carbin 2019, appendix F.5, here at each level. Sign flips
follow Zhou et al. 2019.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from lth_jax.analysis import intervals
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.overlap import NET

Array = jax.Array | np.ndarray


class Totals(NamedTuple):
    """Sums over some weights of a layer, float32[...] each; a pytree.

    The totals of several layers add up to those of the net.
    """

    distance: jax.Array  # of |end - start|
    growth: jax.Array  # of |end| - |start|
    flips: jax.Array  # how many weights change their sign
    number: jax.Array  # how many weights there are


class Movement(NamedTuple):
    """Means over some weights, and then over the replicates."""

    distance: Estimate  # |end - start|
    growth: Estimate  # |end| - |start|; above 0 if weights move away from 0
    flips: Estimate  # the share of weights that change their sign


def totals(
    start: Float[Array, "*shape"],
    end: Float[Array, "*shape"],
    chosen: Bool[Array, "*shape"],
) -> Totals:
    """Returns sums over the chosen weights of a layer; pure, for `jit` and `vmap`."""
    each = (
        jnp.abs(end - start),
        jnp.abs(end) - jnp.abs(start),
        jnp.sign(start) * jnp.sign(end) < 0,
        jnp.ones(start.shape),
    )
    return Totals(*(jnp.where(chosen, x, 0).sum(dtype=jnp.float32) for x in each))


def movements(
    start: Mapping[str, Array], end: Mapping[str, Array], chosen: Mapping[str, Array]
) -> dict[str, Movement]:
    """Returns the movement of each layer by path, and of the whole net as `NET`.

    `start` and `end` are the replicates' weights [R, ...] by path. `chosen` is
    bool[R, ...] for each layer that counts. A layer is left out if a replicate has no
    chosen weights in it.
    """
    each = jax.jit(jax.vmap(totals))
    found = {
        path: jax.device_get(each(start[path], end[path], mask))
        for path, mask in chosen.items()
    }
    whole: Totals = jax.tree.map(lambda *x: np.sum(x, 0), *found.values())
    return {
        path: _mean(own)
        for path, own in {NET: whole, **found}.items()
        if own.number.all()
    }


def _mean(own: Totals) -> Movement:
    def mean(total: jax.Array, bounds: intervals.Bounds) -> Estimate:
        return intervals.mean(np.asarray(total / own.number, float), bounds=bounds)

    return Movement(
        mean(own.distance, (0.0, np.inf)),
        mean(own.growth, intervals.UNBOUNDED),
        mean(own.flips, (0.0, 1.0)),
    )
