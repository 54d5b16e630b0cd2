"""Connections: masks drawn, pruned and moved to given counts, which may be traced.

Pure, for `jit` and `vmap`, where `pruning` counts on the host. As there, among equal
scores the higher flat index goes first, and so the lower one is grown first.
"""

from typing import Any

import jax
import jax.numpy as jnp

from lth_jax import masks as masks_lib
from lth_jax.masks import Masks, Params, Prunable, default_prunable
from lth_jax.removal import Scores, remove_lowest

Counts = Any  # a pytree of int32 scalars, one a leaf of the masks: how many are kept


def kept_counts(masks: Masks) -> Counts:
    """How many entries of each leaf are kept; `masks.layer_counts` for traced masks."""
    return jax.tree.map(_kept, masks)


def draw(
    key: jax.Array,
    params: Params,
    counts: Counts,
    prunable: Prunable = default_prunable,
) -> Masks:
    """Masks drawn uniformly among those that keep as many of each prunable leaf.

    Args:
      key: one key.
      params: arrays, for their shapes.
      counts: from 0 to the leaf's size; those of leaves that are not prunable are not
        used.
      prunable: which leaves may be pruned.
    """

    def drawn(_: int, mask: jax.Array, scores: jax.Array, count: jax.Array) -> jax.Array:
        return _remove_lowest(scores, mask, mask.size - count)

    full = masks_lib.full(params)
    return masks_lib.map_prunable(
        drawn, prunable, full, uniform_scores(key, full), counts
    )


def uniform_scores(key: jax.Array, masks: Masks) -> Scores:
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
    share: jax.Array | float,
    prunable: Prunable = default_prunable,
) -> Masks:
    """Goes a share of the way from full masks to a goal, leaf by leaf.

    Afterwards `round(share * (size - goal))` weights of each leaf are pruned; none comes
    back where there are more already.

    Args:
      scores: float leaves, low goes first.
      masks: bool leaves of the same structure and shapes.
      goal: the counts at share 1.
      share: in [0, 1].
      prunable: which leaves may be pruned.
    """
    masks_lib.check(masks, scores)

    def shrunk(_: int, mask: jax.Array, scores: jax.Array, goal: jax.Array) -> jax.Array:
        kept = mask.size - _share(share, mask.size - goal)
        return _remove_lowest(scores, mask, jnp.maximum(0, _kept(mask) - kept))

    return masks_lib.map_prunable(shrunk, prunable, masks, scores, goal)


def reconnect(
    scores: Scores,
    growth: Scores,
    masks: Masks,
    fraction: jax.Array | float,
    prunable: Prunable = default_prunable,
) -> Masks:
    """Drops the lowest scores of each leaf, and grows as many where growth is largest.

    `round(fraction * kept)` weights go and come. What was dropped may grow again at
    once: in algorithm 1 of Evci et al. 2020 all but the weights that stay are candidates.

    Args:
      scores: float leaves, low is dropped first.
      growth: float leaves, high grows first.
      masks: bool leaves of the same structure and shapes.
      fraction: in [0, 1].
      prunable: which leaves change.

    Returns:
      Masks that keep as many of every leaf as before.
    """
    masks_lib.check(masks, scores)
    masks_lib.check(masks, growth)

    def reconnected(
        _: int, mask: jax.Array, scores: jax.Array, growth: jax.Array
    ) -> jax.Array:
        kept = _kept(mask)
        staying = _remove_lowest(scores, mask, _share(fraction, kept))
        # Of the candidates, all but as many as were dropped stay pruned.
        return staying | _remove_lowest(growth, ~staying, mask.size - kept)

    return masks_lib.map_prunable(reconnected, prunable, masks, scores, growth)


def _share(fraction: jax.Array | float, number: jax.Array) -> jax.Array:
    """round(fraction * number) in float32, halves to the even neighbour; int32."""
    product = jnp.asarray(fraction, jnp.float32) * jnp.asarray(number, jnp.float32)
    return jnp.round(product).astype(jnp.int32)


def _kept(mask: jax.Array) -> jax.Array:
    return jnp.sum(mask, dtype=jnp.int32)


def _remove_lowest(scores: jax.Array, mask: jax.Array, count: jax.Array) -> jax.Array:
    """`removal.remove_lowest` of one leaf."""
    masks: list[jax.Array] = remove_lowest([scores], [mask], count)
    return masks[0]
