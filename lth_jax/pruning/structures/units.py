"""Units: whole neurons, and filters of convolutions."""

from typing import Any

import jax
import jax.numpy as jnp

from lth_jax import masks as masks_lib
from lth_jax.layout import Layer, Layout, by_unit, free_places, readers, sizes
from lth_jax.masks import Masks
from lth_jax.pruning import weights as pruning
from lth_jax.pruning.structures.pooling import every_leaf, pooled_scores
from lth_jax.pruning.structures.structure import Request
from lth_jax.pruning.weights import Fraction
from lth_jax.removal import Scores


def units(scores: Scores, masks: Masks, level: int, request: Request) -> Masks:
    """`prune_units`, by the fraction of the layer that each unit is of.

    Raises:
      ValueError: if the net has no layout.
    """
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
        pooled[place.name] = pooled_scores(score_of[kernel], mask_of[kernel], axes)
        survivors[place.name] = jnp.any(mask_of[kernel], axes)
        # A scale alone makes nothing of an input that is gone.
        for other in (path for path in others if path.endswith("/bias")):
            survivors[place.name] |= mask_of[other]
    kept = pruning.prune(pooled, survivors, fraction, scope=scope, prunable=every_leaf)
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


def _own_leaves(layer: Layer, leaves: dict[str, Any]) -> list[str]:
    """The paths of a layer's kernel and of what else is its units' own."""
    names = [f"{layer.name}/kernel", f"{layer.name}/bias"]
    if layer.norm:
        names += [f"{layer.norm}/scale", f"{layer.norm}/bias"]
    return [name for name in names if name in leaves]
