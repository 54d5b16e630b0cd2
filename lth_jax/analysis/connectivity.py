"""Connectivity: the line between two nets, and its barrier (Frankle et al. 2020)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

Tree = Any  # a pytree of float arrays, such as params


def between(first: Tree, second: Tree, share: Float[jax.Array, ""] | float) -> Tree:
    """Returns the point on the line between two pytrees at a share from 0 to 1.

    At 0 and 1 it equals them bit for bit. If both are equal, so is every point between.
    Pure, for `jit` and `vmap`.

    Example:
      >>> between({"w": jnp.array(1.0)}, {"w": jnp.array(3.0)}, 0.25)["w"].item()
      1.5
    """

    def one(x: Any, y: Any) -> Any:
        return jnp.where(share == 1, y, x + jnp.asarray(share, x.dtype) * (y - x))

    return jax.tree.map(one, first, second)


def line(first: Tree, second: Tree, num_points: int = 30) -> Tree:
    """Returns evenly spaced points from one pytree to the other, on a leading axis P."""
    shares = jnp.linspace(0, 1, num_points)
    return jax.vmap(between, (None, None, 0))(first, second, shares)


def mean(copies: Sequence[Tree]) -> Tree:
    """Returns the mean of each leaf over several pytrees; pure, for `jit` and `vmap`.

    Values that are equal in all copies stay exactly equal, such as the 0 of pruned
    weights.
    """
    first, *others = copies
    away = jax.tree.map(lambda x, *y: sum(z - x for z in y), first, *others)
    return jax.tree.map(lambda x, d: x + d / len(copies), first, away)


def barrier(
    values: Float[jax.Array | np.ndarray, "*pairs points"],
) -> Float[jax.Array, "*pairs"]:
    """Returns the barrier of error or loss: the line's maximum minus the ends' mean.

    Frankle et al. 2020, section 2: sup over the line of E, minus (E(first) + E(second)) /
    2. It is never below 0, since the ends are points of the line.
    """
    found = jnp.asarray(values)
    return found.max(-1) - (found[..., 0] + found[..., -1]) / 2


def barrier_over_ends(
    values: Float[jax.Array | np.ndarray, "*pairs points"],
) -> Float[jax.Array, "*pairs"]:
    """Returns the barrier between nets that are not equally good.

    Entezari et al. 2022, section 2: the largest excess over the linear interpolation of
    the values at the ends. A linear change is no barrier. If both ends have equal values,
    it equals `barrier`.
    """
    found = jnp.asarray(values)
    shares = jnp.linspace(0, 1, found.shape[-1])
    ends = found[..., :1] + shares * (found[..., -1:] - found[..., :1])
    return jnp.maximum((found - ends).max(-1), 0)  # not below 0 by rounding


def pairs(copies: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Returns all pairs of copies of one net, each once."""
    return [(a, b) for i, b in enumerate(copies) for a in copies[:i]]
