"""Compact: a smaller net that computes the same function as a masked one, for inference.

The code below has these sets for each place, as bool[units]. `known` units have a
constant `value`, which no input changes. All others are `changing`. From `reaching` units
a path of changing units leads to a logit. Units that are changing and reaching are
`needed`. `_fold` adds the values of known units to the layers that read them, and may
need one more unit for that. `kept` has the indices of the smaller net's units: those that
are needed anywhere on their stream, and at least one.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lth_jax import layout as layouts
from lth_jax import masks as masks_lib
from lth_jax.layout import INPUTS, Layer, Layout, layers_of
from lth_jax.leaves import split
from lth_jax.masks import Masks, Params, named_leaves
from lth_jax.models.layers import EPSILON
from lth_jax.shrinking.dead_units import Units, backward
from lth_jax.shrinking.selection import InputSelection, select, wire_plain
from lth_jax.training.state import BatchStats
from lth_jax.wiring import Wiring

_Trees = tuple[Params, Masks, BatchStats]
_Leaves = dict[str, np.ndarray]  # by path


class Compact(NamedTuple):
    """A net of the same family with fewer units.

    `lth_jax.from_linen(compact.module, inputs, lambda x: compact.inputs(prepare(x)))`
    returns its pure functions. `prepare` is the preprocessing of the large net.
    """

    module: nn.Module
    params: Params  # pruned ones are 0
    masks: Masks
    batch_stats: BatchStats  # empty without batch normalisation
    inputs: InputSelection  # the inputs that it reads


class _Affine(NamedTuple):
    """A layer with its normalisation, in evaluation, as weights and an offset."""

    weights: np.ndarray  # float64 [pixels, units read, units]
    offset: np.ndarray  # float64 [units]
    is_padded: bool


def compact(
    module: Any, params: Params, masks: Masks, batch_stats: BatchStats = None
) -> Compact:
    """A smaller net with the masked net's logits in evaluation, to rounding.

    It lacks the units that reach no logit, and those that no input reaches. The latter
    are constant. The layers that read them add their part in the bias. A layer without
    bias reads a single unit that is always 1 instead. A padded convolution also does,
    since its border reads zeros. A unit that is 0 for every input is always removed.

    Some units stay. On a residual stream a channel is removed only if it is 0 or unread
    in all of the stage's blocks; constant channels stay. Each layer keeps at least one
    unit. Weights of 0 between kept units are stored and multiplied.

    Raises:
      AssertionError: on masks that do not fit the params.
      NoLayout: on a module without `layout` and `resized`.
      ValueError: on params of another net, or without batch statistics that it needs.
    """
    layout = layouts.layout_of(module, "compact", ("layout", "resized"))
    params = jax.device_get(masks_lib.apply(masks, params))
    stats = {} if batch_stats is None else jax.device_get(batch_stats)
    wiring = wire_plain(layout, params)
    affines = _affines(layout, wiring, params, stats)
    known, value = _constants(layout, wiring, affines)
    edges = {name: (layer.weights != 0).any(0) for name, layer in affines.items()}
    changing = {name: ~units for name, units in known.items()}
    reaching = backward(layout, edges, changing)
    needed = {name: reaching[name] & changing[name] for name in reaching}
    trees = (params, jax.device_get(masks), stats)
    trees, needed = _fold(layout, wiring, trees, value, needed)
    selection = select(layout, params, needed)
    params, masks, stats = jax.tree.map(jnp.asarray, [*map(selection.take, trees)])
    inputs = selection.inputs()
    return Compact(selection.resized(module), params, masks, stats, inputs)


def _affines(
    layout: Layout, wiring: Wiring, params: Params, stats: BatchStats
) -> dict[str, _Affine]:
    """The layers as affine maps in evaluation, by name."""
    leaves = {path: np.asarray(p, np.float64) for path, p in named_leaves(params)}
    stat_of = {split(path): np.asarray(s, float) for path, s in named_leaves(stats)}
    affines = {}
    for layer in layers_of(layout):
        kernel = wiring.kernels[layer.name]
        weights, offset = kernel.by_unit(leaves[kernel.path]), np.zeros(kernel.shape[-1])
        for path in wiring.vectors[layer.name]:
            offset = leaves[path].ravel()
        if norm := layer.norm:
            for name in ("mean", "var"):
                if (norm, name) not in stat_of:
                    raise ValueError(f"batch_stats: no {norm}/{name}; the net needs it")
            mean, var = (stat_of[norm, name].ravel() for name in ("mean", "var"))
            scaled, shifted = wiring.scale(layer), wiring.offset(layer)
            scale = leaves[scaled].ravel() if scaled else np.ones(len(var))
            scale = scale / np.sqrt(var + EPSILON)
            weights, offset = weights * scale, (offset - mean) * scale
            if shifted:
                offset = offset + leaves[shifted].ravel()
        affines[layer.name] = _Affine(weights, offset, kernel.num_pixels > 1)
    return affines


def _constants(
    layout: Layout, wiring: Wiring, affines: dict[str, _Affine]
) -> tuple[Units, Units]:
    """Which units no input changes at any pixel, and their values (0 for other units).

    After a padded layer a constant other than 0 is not constant, since the border
    differs. On a stream only 0 counts as known, and also in a place without an offset,
    where no unit can be made 1. The readers there cannot take other constants; the units
    behind these are therefore needed.
    """
    places = layouts.free_places(layout)
    free = {place.name for place in places if wiring.offset(place.layers[0])}
    nothing = np.zeros(affines[layout[0].layers[0].name].weights.shape[1])
    known: Units = {INPUTS: nothing.astype(bool)}
    value: Units = {INPUTS: nothing}
    for place in layout:
        total: np.ndarray = np.zeros(affines[place.layers[0].name].offset.shape)
        fixed: np.ndarray = np.ones(total.shape, bool)
        if place.skip:
            total, fixed = total + value[place.skip], known[place.skip]
        for layer in place.layers:
            weights, offset, is_padded = affines[layer.name]
            usable = known[layer.reads]
            if is_padded:
                usable = usable & (value[layer.reads] == 0)
            total = total + offset + (value[layer.reads] * usable) @ weights.sum(0)
            fixed = fixed & ~(weights[:, ~usable] != 0).any((0, 1))
        if place.name not in free:
            fixed = fixed & (total <= 0)
        known[place.name] = fixed
        value[place.name] = np.where(fixed, np.maximum(total, 0), 0)
    known[layout[-1].name] = np.zeros_like(known[layout[-1].name])  # logits have no ReLU
    return known, value


def _fold(
    layout: Layout, wiring: Wiring, trees: _Trees, value: Units, needed: Units
) -> tuple[_Trees, Units]:
    """Adds constants to the layers that read them; returns the trees and needed units.

    If a bias cannot take a constant, a unit that is not needed is set to 1. It is needed
    from then on.
    """
    needed = jax.tree.map(np.copy, needed)
    kept = select(layout, trees[0], needed).units
    trees = jax.tree.map(lambda x: np.array(x, order="C"), trees)
    param_of, mask_of = (dict(named_leaves(tree)) for tree in trees[:2])
    for place in layouts.free_places(layout):
        parts, biases_serve = {}, needed[place.name].any()
        for layer, target in layouts.readers(layout, place.name):
            kernel = wiring.kernels[layer.name]
            weights = np.float64(kernel.by_unit(param_of[kernel.path]))
            whole = np.einsum("pnk,n->pk", weights, value[place.name])
            part = parts[layer.name] = np.zeros_like(whole)
            part[:, kept[target]] = whole[:, kept[target]]
            takes = kernel.num_pixels == 1 and bool(wiring.vectors[layer.name])
            biases_serve &= takes or not part.any()
        if biases_serve:
            for name, part in parts.items():
                if part.any():
                    added = part.sum(0).astype(np.float32)
                    (path,) = wiring.vectors[name]
                    param_of[path] += added
                    mask_of[path] |= added != 0
            continue
        one = int(np.argmin(needed[place.name]))
        needed[place.name][one] = True
        _make_one(wiring, place.layers[0], one, trees)
        for name, part in parts.items():
            kernel = wiring.kernels[name]
            kernel.by_unit(param_of[kernel.path])[:, one] = part  # views
            kernel.by_unit(mask_of[kernel.path])[:, one] = part != 0
    return trees, needed


def _make_one(wiring: Wiring, layer: Layer, unit: int, trees: _Trees) -> None:
    """Sets a unit of a layer to 1 for all inputs."""
    kernel, offset = wiring.kernels[layer.name].path, wiring.offset(layer)
    own = {kernel, *wiring.own_vectors(layer)}
    for path, leaf in (named for tree in trees for named in named_leaves(tree)):
        module, name = split(path)
        if path in own:
            leaf[..., unit] = path == offset
        elif module == layer.norm:
            leaf[..., unit] = name == "var"
