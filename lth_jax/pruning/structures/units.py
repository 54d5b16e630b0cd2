"""Units: whole neurons, and filters of convolutions."""

import jax.numpy as jnp

from lth_jax import masks as masks_lib
from lth_jax.layout import Layout, free_places, readers
from lth_jax.leaves import is_offset
from lth_jax.masks import Masks
from lth_jax.pruning.structures.structure import Request, pooled_scores, prune_groups
from lth_jax.pruning.weights import Fraction, replaced
from lth_jax.removal import Scores
from lth_jax.wiring import wire


def units(scores: Scores, masks: Masks, level: int, request: Request) -> Masks:
    """The masks of `prune_units`; raises a ValueError if the net has no layout."""
    layout, fraction = request.layout, request.fraction
    if layout is None:
        raise ValueError("layout: None; units need a model with a layout() method")
    if not isinstance(fraction, float):
        kernels = wire(layout, masks).kernels
        paths = {x.name: kernels[x.layers[0].name].path for x in free_places(layout)}
        fraction = {name: fraction[p] for name, p in paths.items() if p in fraction}
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

    A unit's score is the sum of the scores of its surviving incoming weights, its column
    of the kernel. For magnitudes this is the L1 norm of Li et al. 2017, section 3.1. With
    a unit its bias, the scale and offset of its normalisation, and its outgoing weights
    are removed. Its output is then always exactly zero. A unit survives while an incoming
    weight, its bias or its offset is kept. Output units are never removed. Nor are units
    on a residual stream, to which several layers write: a residual block loses inner
    channels alone (section 3.3).

    The fraction is that of the surviving units of each layer. It may be a mapping from
    the name of every place in `free_places(layout)`, such as "conv_0", to a fraction.
    Under `layerwise` a fraction above 0.5 also removes a layer's last unit. Under
    `global` each layer keeps its highest unit (a floor of 1). All else is as for `prune`.

    Raises:
      ValueError, TypeError: as `prune`, naming places for leaves and units for entries;
        also on params of another net, or if no unit of the net can be removed.
    """
    masks_lib.check(masks, scores)
    wiring, places = wire(layout, masks), free_places(layout)
    if not places:
        raise ValueError("layout: no hidden unit can go; needs one off residual streams")
    score_of = dict(masks_lib.named_leaves(scores))
    mask_of = dict(masks_lib.named_leaves(masks))
    pooled, survivors = {}, {}
    for name, (layer,), _ in places:
        kernel = wiring.kernels[layer.name]
        score, mask = (kernel.axes.ordered(of[kernel.path]) for of in (score_of, mask_of))
        fan_in = tuple(range(mask.ndim - len(kernel.axes.units)))
        pooled[name] = pooled_scores(score, mask, fan_in).ravel()
        survivors[name] = jnp.any(mask, fan_in).ravel()
        # A kept scale alone does not count, since it multiplies zeros.
        for path in filter(is_offset, wiring.own_vectors(layer)):
            survivors[name] |= mask_of[path].ravel()
    kept = prune_groups(pooled, survivors, fraction, scope)
    for name, (layer,), _ in places:
        for path in wiring.own_vectors(layer):
            mask_of[path] = mask_of[path] & kept[name].reshape(mask_of[path].shape)
        own = wiring.kernels[layer.name]
        mask_of[own.path] = mask_of[own.path] & own.of_units(kept[name])
        for reader, _ in readers(layout, name):
            read = wiring.kernels[reader.name]
            mask_of[read.path] = mask_of[read.path] & read.of_read(kept[name])
    return replaced(masks, mask_of)
