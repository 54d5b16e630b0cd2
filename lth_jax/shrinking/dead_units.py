"""Dead units: units that a mask has cut off from the inputs or from the output."""

from typing import NamedTuple

import numpy as np

from lth_jax.layout import INPUTS, Layout, layers_of
from lth_jax.masks import Masks, named_leaves
from lth_jax.wiring import sizes, wire

Units = dict[str, np.ndarray]  # an array with an entry for each unit, by place


class Reach(NamedTuple):
    """Which units are on paths of kept weights, bool[units] for each place.

    The inputs are a place too: the features of a dense first layer, or the channels of a
    convolution. A unit is dead if it is not in both sets.
    """

    from_inputs: Units  # a path leads to them from an input; inputs change no others
    to_output: Units  # a path leads from them to a logit; no others change a logit

    @property
    def alive(self) -> Units:
        """The units that are on a path from an input to a logit."""
        return {name: self.from_inputs[name] & self.to_output[name] for name in self[0]}


def dead_units(layout: Layout, masks: Masks) -> Reach:
    """The units on paths of kept weights, without regard to the weights' values.

    A path goes through kernels, through the scales of the normalisations that follow
    them, and along residual connections. A convolution's weight at any pixel connects its
    channels. Units that depend on a dead unit alone are dead too.

    The layout is `module.layout()`, or your own for a net of any framework. The masks are
    those of its params, on the host.

    Raises:
      ValueError: naming a leaf, as `wiring.wire`.
    """
    edges, numbers = live_edges(layout, masks), sizes(layout, masks)
    nothing = {name: np.zeros(number, bool) for name, number in numbers.items()}
    everything = {name: ~units for name, units in nothing.items()}
    return Reach(forward(layout, edges, nothing), backward(layout, edges, everything))


def live_edges(layout: Layout, masks: Masks) -> dict[str, np.ndarray]:
    """Which units each layer connects: bool[units read, units], by the layer's name."""
    wiring = wire(layout, masks)
    mask_of = {path: np.asarray(mask) for path, mask in named_leaves(masks)}
    edges: dict[str, np.ndarray] = {}
    for layer in layers_of(layout):
        kernel = wiring.kernels[layer.name]
        mask = mask_of[kernel.path]
        if scale := wiring.scale(layer):
            mask = mask & kernel.of_units(mask_of[scale])
        edges[layer.name] = np.any(kernel.by_unit(mask), axis=0)
    return edges


def forward(layout: Layout, edges: dict[str, np.ndarray], sources: Units) -> Units:
    """Which units a path leads to, from an input or from a source unit."""
    reached: Units = {INPUTS: np.ones_like(sources[INPUTS])}
    for place in layout:
        found = sources[place.name]
        if place.skip:
            found = found | reached[place.skip]
        for layer in place.layers:
            found = found | (edges[layer.name] & reached[layer.reads][:, None]).any(0)
        reached[place.name] = found
    return reached


def backward(layout: Layout, edges: dict[str, np.ndarray], through: Units) -> Units:
    """Which units have a path to a logit that passes only units in `through`."""
    reaching = {name: np.zeros_like(units) for name, units in through.items()}
    reaching[layout[-1].name][:] = True
    for place in reversed(layout):
        onward = reaching[place.name] & through[place.name]
        if place.skip:
            reaching[place.skip] |= onward
        for layer in place.layers:
            reaching[layer.reads] |= edges[layer.name][:, onward].any(1)
    return reaching
