"""Removal: removes exactly the `count` lowest-scored weights of a whole pytree.

It is pure, and works under `jit` and `vmap`. `lth_jax.pruning.weights` finds the count.
"""

from typing import TYPE_CHECKING, Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int, PyTree, UInt32

from lth_jax.masks import Masks

# Structure and shapes are those of the masks; mypy has no type for pytrees.
if TYPE_CHECKING:
    Scores = Any
else:
    Scores = PyTree[Float[Array | np.ndarray, "..."]]


def _ascending_bits(scores: Float[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """Maps float32 to uint32 so that integer order is the floats' order."""
    bits = jax.lax.bitcast_convert_type(scores.astype(jnp.float32), jnp.uint32)
    sign = jnp.uint32(1 << 31)
    bits = jnp.where(bits == sign, jnp.uint32(0), bits)  # -0.0 equals 0.0
    return jnp.where(bits & sign, ~bits, bits | sign)


@jax.jit
def remove_lowest(scores: Scores, masks: Masks, count: Int[Array, ""] | int) -> Masks:
    """Removes the `count` lowest-scored survivors of a whole pytree.

    It bisects the bit patterns of the scores to find the threshold. The 32 counting
    passes need no sort, and float rounding never changes a count. Passes over several
    bits at once are slower on CPU, where comparisons dominate.

    Args:
      scores: float leaves without NaN; they are compared in float32.
      masks: bool leaves of the same structure and shapes.
      count: int32, from 0 to the number of survivors.

    Returns:
      Masks that keep exactly `count` fewer entries, all of them kept before. Of equal
      scores at the threshold, the last in `tree_flatten` and C order are removed.

    Example:
      >>> scores = {"a": jnp.array([3.0, 1.0]), "b": jnp.array([2.0])}
      >>> masks = jax.tree.map(lambda x: jnp.ones(x.shape, bool), scores)
      >>> removed = remove_lowest(scores, masks, 2)
      >>> removed["a"].tolist(), removed["b"].tolist()
      ([True, False], [False])
    """
    chex.assert_trees_all_equal_structs(masks, scores)
    chex.assert_trees_all_equal_shapes(masks, scores)
    kept, structure = jax.tree.flatten(masks)
    bits = [  # pruned entries get the largest bits, which lie below no bound
        jnp.where(m, _ascending_bits(leaf), jnp.uint32(0xFFFFFFFF))
        for m, leaf in zip(kept, jax.tree.leaves(scores), strict=True)
    ]
    count = jnp.asarray(count, jnp.int32)

    def survivors_below(bound: UInt32[Array, ""]) -> Int[Array, ""]:
        return sum((jnp.sum(b < bound, dtype=jnp.int32) for b in bits), jnp.int32(0))

    def settle_bit(i: Int[Array, ""], threshold: UInt32[Array, ""]) -> UInt32[Array, ""]:
        candidate = threshold | (jnp.uint32(1) << jnp.uint32(31 - i))
        return jnp.where(survivors_below(candidate) < count, candidate, threshold)

    # The score of the last survivor to remove: the largest bound with fewer than `count`
    # survivors strictly below it.
    threshold = jax.lax.fori_loop(0, 32, settle_bit, jnp.uint32(0))
    ties_to_remove = count - survivors_below(threshold)
    result: list[Array] = []
    for m, b in zip(reversed(kept), reversed(bits), strict=True):
        tie = m & (b == threshold)
        num_ties = jnp.sum(tie, dtype=jnp.int32)
        # Nearly every leaf loses all of its ties; counting them one by one is slow.
        removed_ties = jax.lax.cond(
            num_ties <= ties_to_remove, lambda tie, _: tie, _last, tie, ties_to_remove
        )
        result.append(m & (b >= threshold) & ~removed_ties)
        ties_to_remove -= jnp.minimum(num_ties, ties_to_remove)
    return jax.tree.unflatten(structure, result[::-1])


def _last(chosen: Bool[Array, "*shape"], number: Int[Array, ""]) -> Bool[Array, "*shape"]:
    """The last `number` entries that are `True`, in C order."""
    from_end = jnp.cumsum(chosen.ravel()[::-1].astype(jnp.int32))[::-1]
    return chosen & (from_end.reshape(chosen.shape) <= number)
