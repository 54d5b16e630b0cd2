"""Blocks: square pieces of each layer's matrix."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from lth_jax import masks as masks_lib
from lth_jax.leaves import AxesOf, axes_of, checked_axes
from lth_jax.masks import Masks, Prunable, default_prunable
from lth_jax.pruning.structures.structure import Request, pooled_scores, prune_groups
from lth_jax.pruning.weights import Fraction, replaced
from lth_jax.removal import Scores
from lth_jax.training.state import Array


def blocks(scores: Scores, masks: Masks, level: int, request: Request) -> Masks:
    """The masks of `prune_blocks`, with blocks of `request.block_size`."""
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
    axes: AxesOf = axes_of,
) -> Masks:
    """Removes whole blocks of `size` x `size` weights of each [fan-in, units] matrix.

    The fan-in of a convolution is its channels, pixel by pixel. Blocks at the far edges
    are smaller if `size` does not divide the matrix. A block survives while any of its
    weights survives. Blocks of size 1 are single weights.

    `fraction` and `scope` are those of `prune`, with surviving blocks for weights. `axes`
    takes (path, leaf) and returns the leaf's axes. All else is as for `prune`. The scores
    of pruned weights do not count.

    Raises:
      ValueError, TypeError: as `prune`, with blocks for entries; also on a size that is
        not an integer from 1 up, or naming a leaf whose axes are unknown.
    """
    if not isinstance(size, int | np.integer) or size < 1:
        raise ValueError(f"size: {size}; must be an integer from 1 up")
    masks_lib.check(masks, scores)
    score_of = dict(masks_lib.named_leaves(scores))
    mask_of = dict(masks_lib.prunable_leaves(masks, prunable))

    def pieces(path: str, leaf: Array) -> Shaped[Array, "rows side columns side"]:
        matrices = checked_axes(axes, path, leaf).matrices(leaf)
        matrix = matrices.reshape(-1, matrices.shape[-1])
        padded = jnp.pad(matrix, [(0, -length % size) for length in matrix.shape])
        return padded.reshape(-1, size, padded.shape[1] // size, size)

    pooled, survivors = {}, {}
    for path, mask in mask_of.items():
        own = pieces(path, mask)
        survivors[path] = jnp.any(own, (1, 3))
        pooled[path] = pooled_scores(pieces(path, score_of[path]), own, (1, 3))
    for path, keep in prune_groups(pooled, survivors, fraction, scope).items():
        mask, own_axes = mask_of[path], axes(path, mask_of[path])
        pixels, inputs, units = own_axes.matrices(mask).shape
        whole = keep.repeat(size, 0).repeat(size, 1)[: pixels * inputs, :units]
        mask_of[path] = mask & own_axes.restored(whole, mask.shape)
    return replaced(masks, mask_of)
