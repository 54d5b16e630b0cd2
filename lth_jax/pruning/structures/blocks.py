"""Blocks: square pieces of each layer's matrix."""

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.masks import Masks, Prunable, default_prunable
from lth_jax.pruning import weights as pruning
from lth_jax.pruning.structures.pooling import every_leaf, pooled_scores
from lth_jax.pruning.structures.structure import Request
from lth_jax.pruning.weights import Fraction
from lth_jax.removal import Scores


def blocks(scores: Scores, masks: Masks, level: int, request: Request) -> Masks:
    """`prune_blocks` of `block_size`."""
    return prune_blocks(
        scores,
        masks,
        request.fraction,
        request.block_size,
        scope=request.scope,
        prunable=request.prunable,
    )


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
    its weights does.

    Args:
      scores: as for `prune`; entries of pruned weights do not count.
      masks: as for `prune`.
      fraction: of the surviving blocks; otherwise as for `prune`.
      size: of a block's sides, from 1 (the same as `prune`: single weights).
      scope: as for `prune_units`, of blocks.
      prunable: as for `prune`.

    Raises:
      ValueError: as `prune`, with blocks for entries; or on a size that is not an integer
        from 1 up.
      TypeError: under `jit` or `vmap`.
    """
    if not isinstance(size, int | np.integer) or size < 1:
        raise ValueError(f"size: {size}; must be an integer from 1 up")
    masks_lib.check(masks, scores)
    score_of = dict(masks_lib.named_leaves(scores))
    mask_of = dict(masks_lib.named_leaves(masks))

    def pieces(leaf: jax.Array) -> jax.Array:  # [rows, size, columns, size]
        matrix = leaf.reshape(-1, leaf.shape[-1])
        padded = jnp.pad(matrix, [(0, -length % size) for length in matrix.shape])
        return padded.reshape(-1, size, padded.shape[1] // size, size)

    pooled, survivors = {}, {}
    for path, mask in masks_lib.prunable_leaves(masks, prunable):
        survivors[path] = jnp.any(pieces(mask), (1, 3))
        pooled[path] = pooled_scores(pieces(score_of[path]), pieces(mask), (1, 3))
    kept = pruning.prune(pooled, survivors, fraction, scope=scope, prunable=every_leaf)
    for path, keep in kept.items():
        mask = mask_of[path]
        whole = keep.repeat(size, 0).repeat(size, 1)
        whole = whole[: mask.size // mask.shape[-1], : mask.shape[-1]]
        mask_of[path] = mask & whole.reshape(mask.shape)
    return jax.tree.unflatten(jax.tree.structure(masks), list(mask_of.values()))
