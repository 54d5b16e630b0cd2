"""Units: whole neurons, and filters of convolutions."""

from collections.abc import Iterable

import jax.numpy as jnp

from lth_jax import masks as masks_lib
from lth_jax.layout import Layer, Layout, by_unit, free_places, readers, sizes
from lth_jax.masks import Masks
from lth_jax.pruning.structures.structure import Request, pooled_scores, prune_groups
from lth_jax.pruning.weights import Fraction, replaced
from lth_jax.removal import Scores


def units(scores: Scores, masks: Masks, level: int, request: Request) -> Masks:
    """`prune_units`, by its layer's fraction; a ValueError if the net has no layout."""
    layout, fraction = request.layout, request.fraction
    if layout is None:
        raise ValueError("layout: None; units need a model with a layout() method")
    if not isinstance(fraction, float):
        fraction = {
            place.name: fraction[f"{place.layers[0].name}/kernel"]
            for place in free_places(layout)
        }
    return prune_units(scores, masks, fraction, layout, scope=request.scope)


def prune_units(
    scores: Scores,
    masks: Masks,
    fraction: Fraction,
    layout: Layout,
    *,
    scope: str = "layerwise",
) -> Masks:
    """Removes whole hidden units: neurons, and filters of convolutions.

    A unit's score is that of the surviving weights it reads with (its column of the
    kernel; for magnitudes, the L1 norm of Li et al. 2017, section 3.1). With it go its
    bias, its normalisation's scale and offset, and the weights it is read with: it is
    exactly zero, and stays so. It survives while any weight it reads with, or its bias or
    offset, is kept. The output's units stay, and so do those on a residual stream, which
    several layers write to: of a residual block only the inner channels go (section 3.3).

    The fraction is of the surviving units of each layer, or a mapping from the name of
    every place in `free_places(layout)` (such as "conv_0") to its own. `layerwise`, one
    above 0.5 also takes a layer's last unit; `global`, of all these layers' units, the
    highest one of each layer stays (a floor of 1). All else is as for `prune`.

    Raises:
      ValueError, TypeError: as `prune`, naming places for leaves and units for entries;
        also on params of another net, or where the net has no unit that could go.
    """
    masks_lib.check(masks, scores)
    numbers, places = sizes(layout, masks), free_places(layout)
    if not places:
        raise ValueError("layout: no hidden unit can go; needs one off residual streams")
    score_of = dict(masks_lib.named_leaves(scores))
    mask_of = dict(masks_lib.named_leaves(masks))
    pooled, survivors = {}, {}
    for name, (layer,), _ in places:
        kernel = f"{layer.name}/kernel"
        mask, axes = mask_of[kernel], tuple(range(mask_of[kernel].ndim - 1))
        pooled[name] = pooled_scores(score_of[kernel], mask, axes)
        survivors[name] = jnp.any(mask, axes)
        # A scale alone makes nothing of an input that is gone.
        for path in _own_leaves(layer, mask_of):
            if path.endswith("/bias"):
                survivors[name] |= mask_of[path]
    kept = prune_groups(pooled, survivors, fraction, scope)
    for name, (layer,), _ in places:
        for path in _own_leaves(layer, mask_of):
            mask_of[path] = mask_of[path] & kept[name]
        for path in (f"{reader.name}/kernel" for reader, _ in readers(layout, name)):
            mask = mask_of[path]
            read = by_unit(mask, numbers[name]) & kept[name][:, None]
            mask_of[path] = read.reshape(mask.shape)
    return replaced(masks, mask_of)


def _own_leaves(layer: Layer, paths: Iterable[str]) -> list[str]:
    """Those of a layer's units alone: its kernel and bias, its norm's scale and bias."""
    return [path for path in paths if path.rpartition("/")[0] in (layer.name, layer.norm)]
