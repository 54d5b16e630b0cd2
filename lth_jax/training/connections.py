"""Connections: draws, prunes and moves masks to given counts, which may be traced.

The functions are pure, for `jit` and `vmap`; `pruning` counts on the host. Of equal
scores both remove the higher flat index first, and growth takes the lower one first.
Scores are float leaves like the masks.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int, Int32, PyTree

from lth_jax import masks as masks_lib
from lth_jax.masks import Masks, Params, Prunable, default_prunable
from lth_jax.removal import Scores, remove_lowest

# One int32 scalar for each leaf of the masks, the number kept. mypy knows no pytrees.
if TYPE_CHECKING:
    Counts = Any
else:
    Counts = PyTree[Int[Array | np.ndarray | np.integer, ""] | int]

Share = float | Float[Array, ""]


def kept_counts(masks: Masks) -> Counts:
    """How many entries of each leaf are kept, int32[]; the masks may be traced."""
    return jax.tree.map(_kept, masks)


def draw(
    key: Array, params: Params, counts: Counts, prunable: Prunable = default_prunable
) -> Masks:
    """Masks of the params' shapes, uniform among those that keep these counts.

    A prunable leaf's count is from 0 to its size. The counts of other leaves are ignored.
    """

    def drawn(_: int, mask: Array, scores: Array, count: Array) -> Array:
        return _remove_lowest(scores, mask, mask.size - count)

    full = masks_lib.full(params)
    scores = uniform_scores(key, full)
    return masks_lib.map_prunable(drawn, prunable, full, scores, counts)


def uniform_scores(key: Array, masks: Masks) -> Scores:
    """Scores drawn uniformly in [0, 1), float32 of the masks' shapes."""
    leaves, structure = jax.tree.flatten(masks)
    drawn = [
        jax.random.uniform(jax.random.fold_in(key, i), leaf.shape)
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, drawn)


def shrink(
    scores: Scores,
    masks: Masks,
    goal: Counts,
    share: Share,
    prunable: Prunable = default_prunable,
) -> Masks:
    """Prunes each leaf to a share, in [0, 1], of the way from full masks to a goal.

    It removes the lowest scores until `round(share * (size - goal))` weights of the leaf
    are pruned. A leaf with more pruned weights stays as it is.
    """
    masks_lib.check(masks, scores)

    def shrunk(_: int, mask: Array, scores: Array, goal: Array) -> Array:
        kept = mask.size - _part(share, mask.size - goal)
        return _remove_lowest(scores, mask, jnp.maximum(0, _kept(mask) - kept))

    return masks_lib.map_prunable(shrunk, prunable, masks, scores, goal)


def reconnect(
    scores: Scores,
    growth: Scores,
    masks: Masks,
    fraction: Share,
    prunable: Prunable = default_prunable,
) -> Masks:
    """Drops the lowest scores of each leaf, and grows as many where growth is largest.

    Each leaf drops and grows `round(fraction * kept)` weights, and keeps its count. A
    dropped weight may grow again at once: in algorithm 1 of Evci et al. 2020 all weights
    except those that stay are candidates.
    """
    masks_lib.check(masks, scores)
    masks_lib.check(masks, growth)

    def reconnected(_: int, mask: Array, scores: Array, growth: Array) -> Array:
        kept = _kept(mask)
        staying = _remove_lowest(scores, mask, _part(fraction, kept))
        # As many candidates grow as weights were dropped. The others stay pruned.
        return staying | _remove_lowest(growth, ~staying, mask.size - kept)

    return masks_lib.map_prunable(reconnected, prunable, masks, scores, growth)


def _part(fraction: Share, number: Int[Array, ""]) -> Int32[Array, ""]:
    """round(fraction * number) in float32, halves to the even neighbour.

    Above 2**24 float32 does not hold the number. The product is then computed in
    integers, with the fraction in units of 2**-31.
    """
    fraction = jnp.asarray(fraction, jnp.float32)
    units, n = jnp.uint32(fraction * 2.0**31), jnp.uint32(number)
    # A 64-bit product, written out in 32-bit words.
    (a, b), (c, d) = ((x >> 16, x & 0xFFFF) for x in (units, n))
    middle = (b * d >> 16) + a * d + b * c
    high, low = a * c + (middle >> 16), middle << 16 | b * d & 0xFFFF
    whole, rest, half = high << 1 | low >> 31, low & 0x7FFFFFFF, jnp.uint32(1 << 30)
    large = whole + ((rest > half) | (rest == half) & (whole & 1 == 1))
    small = jnp.round(fraction * jnp.float32(number)).astype(jnp.int32)
    return jnp.where(n <= 1 << 24, small, large.astype(jnp.int32))


def _kept(mask: Bool[Array | np.ndarray, "..."]) -> Int32[Array, ""]:
    return jnp.sum(mask, dtype=jnp.int32)


def _remove_lowest(
    scores: Float[Array, "*shape"], mask: Bool[Array, "*shape"], count: Int[Array, ""]
) -> Bool[Array, "*shape"]:
    """`removal.remove_lowest` for one leaf."""
    masks: list[Array] = remove_lowest([scores], [mask], count)
    return masks[0]
