"""Selection: the units that a smaller net keeps of a larger one, and its leaves."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lth_jax.layout import INPUTS, Layout, layers_of, streams
from lth_jax.leaves import Axes, split
from lth_jax.masks import named_leaves
from lth_jax.shrinking.dead_units import Units
from lth_jax.wiring import Wiring, wire


@dataclasses.dataclass(frozen=True, eq=False)
class InputSelection:
    """The inputs that a smaller net reads."""

    kept: np.ndarray | jax.Array | None  # their indices, which may be traced; None: all
    is_flat: bool  # whether they are features of the flattened inputs, or channels

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """The kept inputs, [N, kept] or [N, H, W, kept], of [N, ...]; pure."""
        if self.kept is None:
            return inputs
        if self.is_flat:
            inputs = inputs.reshape(inputs.shape[0], -1)
        return jnp.take(inputs, self.kept, axis=-1)


class Selection(NamedTuple):
    """Units of a net, by place; all places of a residual stream have the same."""

    layout: Layout  # of both nets
    wiring: Wiring  # of the larger net's params
    units: Mapping[str, np.ndarray]  # int64 indices of the kept units, ascending

    @property
    def sizes(self) -> dict[str, int]:
        """The number of units of each place that the smaller net has."""
        return {name: units.size for name, units in self.units.items()}

    @property
    def numbers(self) -> Mapping[str, int]:
        """The number of units of each place that the larger net has."""
        return self.wiring.sizes

    def resized(self, module: Any) -> nn.Module:
        """The module of the smaller net.

        Raises:
          ValueError: if the larger net's params have another number of classes.
        """
        number = self.numbers[self.layout[-1].name]
        if number != getattr(module, "num_classes", number):
            raise ValueError(
                f"params: of {number} classes; must be of {module.num_classes}, as the"
                " module"
            )
        smaller: nn.Module = module.resized(self.sizes)
        return smaller

    def inputs(self) -> InputSelection:
        """The inputs that the smaller net reads."""
        kept = self.units[INPUTS]
        first = [layer.name for layer in layers_of(self.layout) if layer.reads == INPUTS]
        whole = kept.size == self.numbers[INPUTS]
        is_flat = all(len(self.wiring.kernels[name].shape) == 2 for name in first)
        return InputSelection(None if whole else kept, is_flat)

    def take(self, tree: Any) -> Any:
        """The smaller net's part of params, batch statistics, masks, or moments."""
        places = self._places()
        parts = [np.asarray(x)[self._index(places, p, x)] for p, x in named_leaves(tree)]
        return jax.tree.unflatten(jax.tree.structure(tree), parts)

    def put(self, tree: Any, part: Any) -> Any:
        """The larger net's tree, with the values of the smaller net's part."""
        places, part_of = self._places(), dict(named_leaves(part))
        whole = jax.tree.map(np.array, tree)
        for path, leaf in named_leaves(whole):
            leaf[self._index(places, path, leaf)] = part_of[path]
        return whole

    def _places(self) -> dict[str, tuple[str | None, str]]:
        """The places read (by kernels) and written, by a kernel's path or by module."""
        found: dict[str, tuple[str | None, str]] = {}
        for place in self.layout:
            for layer in place.layers:
                kernel = self.wiring.kernels[layer.name].path
                found[kernel] = layer.reads, place.name
                found |= {
                    name: (None, place.name) for name in (layer.name, layer.norm) if name
                }
        return found

    def _index(
        self, places: Mapping[str, tuple[str | None, str]], path: str, leaf: Any
    ) -> tuple[Any, ...]:
        read, target = places.get(path) or places.get(split(path)[0], (None, ""))
        if target == "" or leaf.shape[-1:] != (self.numbers[target],):
            raise ValueError(
                f"params: {path} is {leaf.shape}, and not of the layout; its last axis"
                " must be the units of a layer or of its norm"
            )
        if read is None:
            return (..., self.units[target])
        pixels = np.arange(leaf.shape[-2] // self.numbers[read])
        rows = (pixels[:, None] * self.numbers[read] + self.units[read]).ravel()
        return (..., rows[:, None], self.units[target])


def wire_plain(layout: Layout, params: Any) -> Wiring:
    """As `wire`, for a net that smaller nets can be made from.

    Raises:
      ValueError: naming a leaf, as `wire`; also on kernels other than
        [pixels..., inputs, units], and on grouped convolutions.
    """
    wiring = wire(layout, params)
    for kernel in wiring.kernels.values():
        last = len(kernel.shape) - 1
        if kernel.axes != Axes((last - 1,), (last,)) or kernel.num_groups > 1:
            raise ValueError(
                f"params: {kernel.path} is {kernel.shape}, with {kernel.num_groups}"
                f" groups and {kernel.axes}; smaller nets are made of kernels [pixels...,"
                " inputs, units] in one group"
            )
    return wiring


def select(layout: Layout, params: Any, needed: Units) -> Selection:
    """The units that are needed in any place of their stream, and at least one of each.

    `needed` is bool[units] for every place. `params` may be any tree with the shapes of
    the net's params, such as its masks.
    """
    wiring, stream_of = wire_plain(layout, params), streams(layout)
    numbers = wiring.sizes
    keep = {name: np.zeros(numbers[name], bool) for name in stream_of.values()}
    for name, stream in stream_of.items():
        keep[stream] |= needed[name]
    for mask in keep.values():
        mask[0] |= not mask.any()  # a layer must have a unit, even if none is needed
    units = {name: np.flatnonzero(keep[stream]) for name, stream in stream_of.items()}
    return Selection(layout, wiring, units)


def select_alike(
    layout: Layout, params: Any, needed: Sequence[Units]
) -> tuple[Selection, ...]:
    """As `select`, for several nets of one layout, which all keep the same shape.

    Each place has as many units as the net that needs the most there. The other nets also
    keep the first units that they do not need.
    """
    alone = [select(layout, params, own) for own in needed]
    most = {name: max(own.sizes[name] for own in alone) for name in alone[0].units}

    def filled(own: Selection, name: str) -> np.ndarray:
        others = np.setdiff1d(np.arange(own.numbers[name]), own.units[name])
        added = others[: most[name] - own.units[name].size]
        return np.sort(np.concatenate([own.units[name], added]))

    units = [{name: filled(own, name) for name in most} for own in alone]
    return tuple(own._replace(units=x) for own, x in zip(alone, units, strict=True))
