"""Removal: the lowest-scored weights of a whole pytree, exactly as many as asked.

Pure, under `jit` and `vmap` too; who counts is `lth_jax.core.pruning`.
"""

from typing import Any

import chex
import jax
import jax.numpy as jnp

from lth_jax.core.masks import Masks

Scores = Any  # a pytree of float arrays, same structure and shapes as the masks


def _ascending_bits(scores: jax.Array) -> jax.Array:
    """Maps float32 to uint32 so that integer order is the floats' order."""
    bits = jax.lax.bitcast_convert_type(scores.astype(jnp.float32), jnp.uint32)
    sign = jnp.uint32(1 << 31)
    bits = jnp.where(bits == sign, jnp.uint32(0), bits)  # -0.0 is the same score as 0.0
    return jnp.where(bits & sign, ~bits, bits | sign)


@jax.jit
def remove_lowest(scores: Scores, masks: Masks, count: jax.Array | int) -> Masks:
    """Removes the `count` lowest-scored survivors of a whole pytree.

    The threshold is found by bisecting the bit pattern of the scores: 32 counting
    passes, which need no sort and no copy, and no float rounding decides a count.

    Args:
      scores: float leaves, free of NaN; order is compared in float32.
      masks: bool leaves of the same structure and shapes.
      count: int32, from 0 to the number of survivors.

    Returns:
      Masks with exactly `count` fewer entries kept, a subset of the given ones.
    """
    chex.assert_trees_all_equal_structs(masks, scores)
    chex.assert_trees_all_equal_shapes(masks, scores)
    kept, structure = jax.tree.flatten(masks)
    bits = [_ascending_bits(leaf) for leaf in jax.tree.leaves(scores)]
    count = jnp.asarray(count, jnp.int32)

    def survivors_below(bound: jax.Array) -> jax.Array:
        return sum(
            (
                jnp.sum(m & (b < bound), dtype=jnp.int32)
                for m, b in zip(kept, bits, strict=True)
            ),
            jnp.int32(0),
        )

    def settle_bit(i: jax.Array, threshold: jax.Array) -> jax.Array:
        candidate = threshold | (jnp.uint32(1) << (31 - i).astype(jnp.uint32))
        return jnp.where(survivors_below(candidate) < count, candidate, threshold)

    # The score of the last survivor to go: the largest bound with fewer than
    # `count` survivors strictly below it.
    threshold = jax.lax.fori_loop(0, 32, settle_bit, jnp.uint32(0))
    ties_to_remove = count - survivors_below(threshold)
    result: list[jax.Array] = []
    for m, b in zip(reversed(kept), reversed(bits), strict=True):
        tie = m & (b == threshold)
        ties_from_end = jnp.cumsum(tie.ravel()[::-1].astype(jnp.int32))[::-1]
        remove_tie = tie & (ties_from_end.reshape(m.shape) <= ties_to_remove)
        result.append(m & (b >= threshold) & ~remove_tie)
        ties_to_remove -= jnp.sum(remove_tie, dtype=jnp.int32)
    return jax.tree.unflatten(structure, result[::-1])
