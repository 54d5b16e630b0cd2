"""Blocks: square pieces of each layer's matrix."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Shaped

from lth_jax import masks as masks_lib
from lth_jax.masks import Masks, Prunable, default_prunable
from lth_jax.pruning.structures.structure import Request, pooled_scores, prune_groups
from lth_jax.pruning.weights import Fraction, replaced
from lth_jax.removal import Scores
from lth_jax.training.state import Array


def blocks(scores: Scores, masks: Masks, level: int, request: Request) -> Masks:
    """`prune_blocks` of `block_size`."""
    size = request.block_size
    return prune_blocks(scores, masks, request.fraction, size, **request.how)


def prune_blocks(
    scores: Scores,
    masks: Masks,
    fraction: Fraction,
    size: int,
    *,
    scope: str = "layerwise",
    prunable: Prunable = default_prunable,
) -> Masks:
    """Removes whole blocks of `size` x `size` weights of each [fan-in, units] matrix.

    The fan-in of a convolution is [height, width, channels] in C order. Blocks at the
    far edges are smaller where `size` does not divide; a block survives while any of
    its weights does. Blocks of size 1 are single weights.

    The fraction is of the surviving blocks, and the scope, as for `prune_units`, of
    blocks. All else is as for `prune`; the scores of pruned weights do not count.

    Raises:
      ValueError, TypeError: as `prune`, with blocks for entries; also on a size that is
        not an integer from 1 up.
    """
    if not isinstance(size, int | np.integer) or size < 1:
        raise ValueError(f"size: {size}; must be an integer from 1 up")
    masks_lib.check(masks, scores)
    score_of = dict(masks_lib.named_leaves(scores))
    mask_of = dict(masks_lib.prunable_leaves(masks, prunable))

    def pieces(leaf: Array) -> Shaped[Array, "rows side columns side"]:
        matrix = leaf.reshape(-1, leaf.shape[-1])
        padded = jnp.pad(matrix, [(0, -length % size) for length in matrix.shape])
        return padded.reshape(-1, size, padded.shape[1] // size, size)

    pooled, survivors = {}, {}
    for path, mask in mask_of.items():
        survivors[path] = jnp.any(pieces(mask), (1, 3))
        pooled[path] = pooled_scores(pieces(score_of[path]), pieces(mask), (1, 3))

    def kept(mask: Bool[Array, "*shape"], keep: Bool[Array, "rows columns"]) -> Array:
        whole = keep.repeat(size, 0).repeat(size, 1)
        whole = whole[: mask.size // mask.shape[-1], : mask.shape[-1]]
        return mask & whole.reshape(mask.shape)

    keep_of = prune_groups(pooled, survivors, fraction, scope)
    return replaced(masks, {path: kept(mask_of[path], keep_of[path]) for path in keep_of})
