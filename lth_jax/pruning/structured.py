"""Structured pruning: whole groups of weights, by the counts and ties of `pruning`.

A group's score is the sum of its survivors' scores, so with magnitudes its L1 norm.
Each group is one entry of a small pytree, and `prune` removes entries of that.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.layout import Layer, Layout, by_unit, free_places, readers, sizes
from lth_jax.masks import Masks, Prunable, default_prunable
from lth_jax.pruning import weights as pruning
from lth_jax.pruning.weights import Fraction
from lth_jax.removal import Scores, remove_lowest


def prune_units(
    scores: Scores,
    masks: Masks,
    fraction: Fraction,
    layout: Layout,
    *,
    scope: str = "layerwise",
) -> Masks:
    """Removes whole hidden units: neurons, and filters of convolutions.

    A unit's score is that of the weights it reads with (its column of the kernel; for
    magnitudes, the L1 norm of Li et al. 2017, section 3.1). With it go its bias, its
    normalisation's scale and offset, and the weights it is read with: it is exactly
    zero, and stays so. It counts as a survivor while any weight it reads with, or its
    bias or offset, is kept.

    The output's units stay, and so do those on a residual stream, which several layers
    write to: of a residual block only the inner channels go (Li et al. 2017, section
    3.3).

    Args:
      scores: as for `prune`; entries of pruned weights do not count.
      masks: as for `prune`.
      fraction: of the surviving units of each layer, in (0, 1), or a mapping from the
        name of every place in `free_places(layout)` (such as "conv_0") to its own.
      layout: `module.layout()` of a net in `lth_jax.models`.
      scope: "layerwise", by which a fraction above 0.5 also takes a layer's last unit;
        or "global" for all of these layers' units together, of each of which the highest
        one stays (a floor of 1: a warning where that changes what goes, a ValueError
        where more units would have to go).

    Raises:
      ValueError: as `prune`, naming places for leaves and units for entries; on params
        of another net; or where the net has no unit that could go.
      TypeError: under `jit` or `vmap`.
    """
    masks_lib.check(masks, scores)
    numbers = sizes(layout, masks)
    places = free_places(layout)
    if not places:
        raise ValueError("layout: no hidden unit can go; needs one off residual streams")
    score_of = dict(masks_lib.named_leaves(scores))
    mask_of = dict(masks_lib.named_leaves(masks))
    pooled, survivors = {}, {}
    for place in places:
        kernel, *others = _own_leaves(place.layers[0], mask_of)
        axes = tuple(range(mask_of[kernel].ndim - 1))
        pooled[place.name] = _pool(score_of[kernel], mask_of[kernel], axes)
        survivors[place.name] = jnp.any(mask_of[kernel], axes)
        # A scale alone makes nothing of an input that is gone.
        for other in (path for path in others if path.endswith("/bias")):
            survivors[place.name] |= mask_of[other]
    kept = pruning.prune(pooled, survivors, fraction, scope=scope, prunable=_all)
    for place in places:
        keep = kept[place.name]
        for path in _own_leaves(place.layers[0], mask_of):
            mask_of[path] = mask_of[path] & keep
        for layer, _ in readers(layout, place.name):
            path = f"{layer.name}/kernel"
            mask = mask_of[path]
            read = by_unit(mask, numbers[place.name]) & keep[:, None]
            mask_of[path] = read.reshape(mask.shape)
    return jax.tree.unflatten(jax.tree.structure(masks), list(mask_of.values()))


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

    def blocks(leaf: jax.Array) -> jax.Array:  # [rows, size, columns, size]
        matrix = leaf.reshape(-1, leaf.shape[-1])
        padded = jnp.pad(matrix, [(0, -length % size) for length in matrix.shape])
        return padded.reshape(-1, size, padded.shape[1] // size, size)

    pooled, survivors = {}, {}
    for path, mask in masks_lib.prunable_leaves(masks, prunable):
        survivors[path] = jnp.any(blocks(mask), (1, 3))
        pooled[path] = _pool(blocks(score_of[path]), blocks(mask), (1, 3))
    kept = pruning.prune(pooled, survivors, fraction, scope=scope, prunable=_all)
    for path, keep in kept.items():
        mask = mask_of[path]
        whole = keep.repeat(size, 0).repeat(size, 1)
        whole = whole[: mask.size // mask.shape[-1], : mask.shape[-1]]
        mask_of[path] = mask & whole.reshape(mask.shape)
    return jax.tree.unflatten(jax.tree.structure(masks), list(mask_of.values()))


def keep_n_of_m(
    scores: Scores,
    masks: Masks,
    n: int,
    m: int,
    *,
    prunable: Prunable = default_prunable,
) -> Masks:
    """Of every `m` consecutive weights that a unit reads with, keeps the `n` highest.

    2:4 is what NVIDIA's sparse tensor cores take (Mishra et al. 2021). Consecutive is
    along the fan-in, for a convolution [height, width, channels] in C order; the last
    few keep `n` too where `m` does not divide it. Where no more than `n` are left,
    all stay.

    Args:
      scores: as for `prune`.
      masks: as for `prune`.
      n: how many stay, from 1 to m - 1.
      m: of how many.
      prunable: as for `prune`.

    Raises:
      ValueError: on n or m out of bounds, or NaN scores (naming the leaf).
      TypeError: under `jit` or `vmap`.
    """
    if not 1 <= n < m:
        raise ValueError(f"n, m: {n}, {m}; must be 1 <= n < m")
    masks_lib.check(masks, scores)
    leaves = masks_lib.prunable_leaves(masks, prunable)
    pruning.check_countable(scores, masks, prunable)
    score_of = dict(masks_lib.named_leaves(scores))
    mask_of = dict(masks_lib.named_leaves(masks))

    def groups(leaf: jax.Array) -> jax.Array:  # [groups, m], the units' one by one
        rows = leaf.reshape(-1, leaf.shape[-1]).T
        return jnp.pad(rows, [(0, 0), (0, -rows.shape[1] % m)]).reshape(-1, m)

    for path, mask in leaves:
        survivors = groups(mask)
        counts = jnp.maximum(0, survivors.sum(1) - n)
        remove = jax.vmap(remove_lowest)
        kept = remove(groups(score_of[path]), survivors, counts)
        rows = kept.reshape(mask.shape[-1], -1)[:, : mask.size // mask.shape[-1]]
        mask_of[path] = rows.T.reshape(mask.shape)
    return jax.tree.unflatten(jax.tree.structure(masks), list(mask_of.values()))


def _all(path: str, leaf: Any) -> bool:
    return True


def _own_leaves(layer: Layer, leaves: dict[str, Any]) -> list[str]:
    """The paths of a layer's kernel and of what else is its units' own."""
    names = [f"{layer.name}/kernel", f"{layer.name}/bias"]
    if layer.norm:
        names += [f"{layer.norm}/scale", f"{layer.norm}/bias"]
    return [name for name in names if name in leaves]


def _pool(scores: jax.Array, mask: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    return jnp.sum(jnp.where(mask, scores, 0), axes)
