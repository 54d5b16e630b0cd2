"""Selection: the units that a smaller net has of a larger one, and its leaves."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lth_jax.layout import INPUTS, Layout, leaf_axes, sizes, streams
from lth_jax.masks import named_leaves
from lth_jax.shrinking.dead_units import Units


class Selection(NamedTuple):
    """Units of a net, by place, the same on all of a residual stream.

    Attributes:
      layout: of both nets.
      numbers: of units that the larger net has.
      units: indices of those that the smaller one has, ascending, int64.
    """

    layout: Layout
    numbers: Mapping[str, int]
    units: Mapping[str, np.ndarray]

    @property
    def sizes(self) -> dict[str, int]:
        """The number of units of each place that the smaller net has."""
        return {name: units.size for name, units in self.units.items()}

    def take(self, tree: Any) -> Any:
        """The smaller net's part of params, batch statistics, masks, or moments."""
        axes = leaf_axes(self.layout)
        return _map_named(
            lambda path, leaf: np.asarray(leaf)[self._index(axes[path], leaf)], tree
        )

    def put(self, tree: Any, part: Any) -> Any:
        """The larger net's tree, with the smaller one's part put in."""
        axes, part_of = leaf_axes(self.layout), dict(named_leaves(part))

        def replaced(path: str, leaf: Any) -> np.ndarray:
            result = np.array(leaf)
            result[self._index(axes[path], leaf)] = part_of[path]
            return result

        return _map_named(replaced, tree)

    def _index(self, axes: tuple[str | None, str], leaf: Any) -> tuple[Any, ...]:
        place, target = axes
        if place is None:
            return (self.units[target],)
        pixels = np.arange(leaf.shape[-2] // self.numbers[place])
        rows = (pixels[:, None] * self.numbers[place] + self.units[place]).ravel()
        return (..., rows[:, None], self.units[target])


def resized(module: Any, selection: Selection) -> nn.Module:
    """The smaller net.

    Raises:
      ValueError: if the larger one's params are of other classes than the module.
    """
    number = selection.numbers[selection.layout[-1].name]
    if number != getattr(module, "num_classes", number):
        raise ValueError(
            f"params: of {number} classes; must be of {module.num_classes}, as the module"
        )
    smaller: nn.Module = module.resized(selection.sizes)
    return smaller


def select(layout: Layout, params: Any, needed: Units) -> Selection:
    """The units that are needed in any place of their stream, and at least one of each.

    Args:
      layout: of the net.
      params: or anything of their structure and shapes.
      needed: bool[units] of every place.
    """
    numbers, stream_of = sizes(layout, params), streams(layout)
    keep = {name: np.zeros(numbers[name], bool) for name in stream_of.values()}
    for name, stream in stream_of.items():
        keep[stream] |= needed[name]
    for mask in keep.values():
        # A layer of no units would be no layer. Nobody needs this one's value.
        mask[0] |= not mask.any()
    units = {name: np.flatnonzero(keep[stream]) for name, stream in stream_of.items()}
    return Selection(layout, numbers, units)


def select_alike(
    layout: Layout, params: Any, needed: Sequence[Units]
) -> tuple[Selection, ...]:
    """As `select`, for several nets that come to have one shape.

    Each place has the units of the net that needs the most there; the others have the
    first ones of those that they do not need beside.

    Args:
      layout: of all nets.
      params: of one, or anything of their structure and shapes.
      needed: bool[units] of every place, of each net.
    """
    alone = [select(layout, params, own) for own in needed]
    most = {name: max(own.units[name].size for own in alone) for name in alone[0].units}
    return tuple(
        own._replace(
            units={
                name: _filled(units, most[name], own.numbers[name])
                for name, units in own.units.items()
            }
        )
        for own in alone
    )


def _filled(units: np.ndarray, size: int, number: int) -> np.ndarray:
    """So many of `number` units, ascending: those given, and the first others."""
    others = np.setdiff1d(np.arange(number), units, assume_unique=True)
    return np.sort(np.concatenate([units, others[: size - units.size]]))


@dataclasses.dataclass(frozen=True, eq=False)
class InputSelection:
    """The inputs that a smaller net reads.

    Attributes:
      kept: their indices, which may be traced; None for all.
      is_flat: whether they are features of the flattened inputs, or channels.
    """

    kept: np.ndarray | jax.Array | None
    is_flat: bool

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """[N, ...] to [N, kept] or [N, H, W, kept]; pure, works under `jit`."""
        if self.kept is None:
            return inputs
        if self.is_flat:
            inputs = inputs.reshape(inputs.shape[0], -1)
        return jnp.take(inputs, self.kept, axis=-1)


def input_selection(selection: Selection, params: Any) -> InputSelection:
    """Which inputs the smaller net reads, and how."""
    kept = selection.units[INPUTS]
    axes = leaf_axes(selection.layout)
    is_flat = all(
        leaf.ndim == 2 for path, leaf in named_leaves(params) if axes[path][0] == INPUTS
    )
    whole = kept.size == selection.numbers[INPUTS]
    return InputSelection(None if whole else kept, is_flat)


def _map_named(function: Any, tree: Any) -> Any:
    leaves = [function(path, leaf) for path, leaf in named_leaves(tree)]
    return jax.tree.unflatten(jax.tree.structure(tree), leaves)
