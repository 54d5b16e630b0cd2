"""Connectivity: what lies on the line between two nets (Frankle et al. 2020)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

Tree = Any  # a pytree of float arrays, such as params


def between(first: Tree, second: Tree, share: Float[jax.Array, ""] | float) -> Tree:
    """The point that lies so far, from 0 to 1, from one pytree to another.

    Its ends are these to the last bit, and between two that are the same it stays there.
    Pure, for `jit` and `vmap`.
    """

    def one(x: Any, y: Any) -> Any:
        return jnp.where(share == 1, y, x + jnp.asarray(share, x.dtype) * (y - x))

    return jax.tree.map(one, first, second)


def line(first: Tree, second: Tree, num_points: int = 30) -> Tree:
    """Evenly spaced points from one pytree to another, leading axis P, both ends too."""
    shares = jnp.linspace(0, 1, num_points)
    return jax.vmap(between, (None, None, 0))(first, second, shares)


def mean(copies: Sequence[Tree]) -> Tree:
    """The mean of several pytrees, leaf by leaf; pure, for `jit` and `vmap`.

    What is the same in all stays so to the last bit, such as the 0 of pruned weights.
    """
    first, *others = copies
    away = jax.tree.map(lambda x, *y: sum(z - x for z in y), first, *others)
    return jax.tree.map(lambda x, d: x + d / len(copies), first, away)


def barrier(
    values: Float[jax.Array | np.ndarray, "*pairs points"],
) -> Float[jax.Array, "*pairs"]:
    """The error barrier, or the loss's: the most on the line over the mean of its ends.

    Frankle et al. 2020, section 2: sup over the line of E, minus (E(first) + E(second)) /
    2. It is never below 0, since the ends lie on the line too.
    """
    found = jnp.asarray(values)
    return found.max(-1) - (found[..., 0] + found[..., -1]) / 2


def barrier_over_ends(
    values: Float[jax.Array | np.ndarray, "*pairs points"],
) -> Float[jax.Array, "*pairs"]:
    """The barrier between nets that are not equally good.

    Entezari et al. 2022, section 2: the most on the line over what lies as far from
    one end's value to the other's. A steady change is no barrier; where both ends are
    alike it is `barrier`.
    """
    found = jnp.asarray(values)
    shares = jnp.linspace(0, 1, found.shape[-1])
    ends = found[..., :1] + shares * (found[..., -1:] - found[..., :1])
    return jnp.maximum((found - ends).max(-1), 0)  # not below it by rounding


def pairs(copies: Sequence[Any]) -> list[tuple[Any, Any]]:
    """All pairs of copies of one net, each once."""
    return [(a, b) for i, b in enumerate(copies) for a in copies[:i]]
