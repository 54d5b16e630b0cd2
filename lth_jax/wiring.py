"""Wiring: finds a layout's layers in a pytree, and the unit that each weight reads."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lth_jax.layout import INPUTS, Layer, Layout, check_order, layers_of
from lth_jax.leaves import (
    Axes,
    AxesOf,
    checked_axes,
    is_offset,
    multiplies,
    named_leaves,
    split,
    told_axes,
)


@dataclasses.dataclass(frozen=True)
class Kernel:
    """The weights of a layer, as matrices [pixels, inputs, units].

    The inputs of a dense layer that reads a flattened place are those of all pixels.
    """

    path: str
    shape: tuple[int, ...]
    axes: Axes
    num_read: int  # number of units of the place that it reads
    is_unit_first: bool  # whether a flattened place is ordered by unit, then pixel

    @property
    def num_pixels(self) -> int:
        """Returns the number of pixels of its window; 1 for a dense layer."""
        return math.prod(self._sizes[:-2])

    @property
    def num_groups(self) -> int:
        """Returns the number of groups of a convolution; 1 for a dense layer."""
        return 1 if len(self._sizes) == 2 else self.num_read // self._sizes[-2]

    def reads(self) -> np.ndarray:
        """Returns the unit that each weight reads, int[inputs, units] or [inputs, 1]."""
        *_, inputs, units = self._sizes
        rows = np.arange(inputs)[:, None]
        if self.num_groups > 1:
            return rows + np.arange(units) // (units // self.num_groups) * inputs
        if self.is_unit_first:
            return rows // (inputs // self.num_read)
        return rows % self.num_read

    def by_unit(self, leaf: np.ndarray) -> np.ndarray:
        """Returns its leaf as [pixels, units read, units], 0 where there is no weight."""
        matrices: np.ndarray = self.axes.matrices(leaf)
        if self.num_groups > 1:
            whole = np.zeros(
                (len(matrices), self.num_read, matrices.shape[-1]), leaf.dtype
            )
            whole[:, self.reads(), np.arange(matrices.shape[-1])] = matrices
            return whole
        if self.is_unit_first:
            pixels = matrices.reshape(self.num_read, -1, matrices.shape[-1])
            return pixels.swapaxes(0, 1)
        return matrices.reshape(-1, self.num_read, matrices.shape[-1])

    def of_units(self, values: Any) -> np.ndarray:
        """Returns, in the kernel's shape, the value of each weight's own unit."""
        return self._restored(np.ravel(values))

    def of_read(self, values: Any) -> np.ndarray:
        """Returns, in the kernel's shape, the value of the unit each weight reads."""
        return self._restored(np.ravel(values)[self.reads()])

    def _restored(self, values: np.ndarray) -> np.ndarray:
        *pixels, inputs, units = self._sizes
        whole = np.broadcast_to(values, (math.prod(pixels), inputs, units))
        restored: np.ndarray = self.axes.restored(whole, self.shape)
        return restored

    @property
    def _sizes(self) -> tuple[int, ...]:
        return self.axes.shape(np.broadcast_to(0, self.shape))


@dataclasses.dataclass(frozen=True)
class Wiring:
    """A layout, and the leaves of its layers in a pytree."""

    sizes: dict[str, int]  # the number of units of every place, inputs included
    kernels: Mapping[str, Kernel]  # by the layer's name
    vectors: Mapping[str, tuple[str, ...]]  # paths, by the name of the layer or the norm

    def own_vectors(self, layer: Layer) -> tuple[str, ...]:
        """Returns the paths of a layer's bias and its norm's scale and offset."""
        return self.vectors[layer.name] + self.vectors.get(layer.norm or "", ())

    def scale(self, layer: Layer) -> str | None:
        """Returns the path of the scale of the layer's norm; None if there is none."""
        found = [path for path in self.own_vectors(layer) if not is_offset(path)]
        return found[0] if found else None

    def offset(self, layer: Layer) -> str | None:
        """Returns the path of the norm's offset, or of the bias if there is no norm.

        It returns None if there is neither.
        """
        found = filter(is_offset, self.vectors[layer.norm or layer.name])
        return next(found, None)


def wire(layout: Layout, params: Any) -> Wiring:
    """Finds a layout's layers in params of any framework, or in their masks.

    Raises:
      ValueError: if params do not fit the layout, or the axes of a kernel are unknown; it
        names the leaf. Also if `check_order` rejects the layout.
    """
    check_order(layout)
    modules = _modules(layout, params)
    sizes: dict[str, int] = {}
    kernels: dict[str, Kernel] = {}
    vectors: dict[str, tuple[str, ...]] = {}
    unit_first: set[str] = set()  # places that are flattened by unit, then pixel
    for place in layout:
        for layer in place.layers:
            path, leaf = _kernel(layer, modules[layer.name])
            axes = checked_axes(_axes_by(layer), path, leaf).ascending(leaf.ndim)
            *pixels, inputs, units = axes.shape(leaf)
            if layer.reads == INPUTS:
                sizes.setdefault(INPUTS, inputs)
            read = sizes[layer.reads]
            if sizes.setdefault(place.name, units) != units or not _fits(
                pixels, inputs, units, read
            ):
                raise ValueError(
                    f"params: {path} is {leaf.shape}; the layout has {sizes}"
                )
            is_unit_first = layer.reads in unit_first and not pixels
            kernels[layer.name] = Kernel(path, leaf.shape, axes, read, is_unit_first)
            if any(axis > axes.units[-1] for axis in axes.pixels(leaf.ndim)):
                unit_first.add(place.name)
            others = [other for other in modules[layer.name] if other[0] != path]
            vectors[layer.name] = _vectors(others, units, ("offset",))
            if layer.norm:
                norm = modules.get(layer.norm, [])
                vectors[layer.norm] = _vectors(norm, units, ("scale", "offset"))
    return Wiring(sizes, kernels, vectors)


def sizes(layout: Layout, params: Any) -> dict[str, int]:
    """Returns the number of units of every place, inputs included; see `wire`."""
    return wire(layout, params).sizes


def _modules(layout: Layout, params: Any) -> dict[str, list[tuple[str, Any]]]:
    """The leaves of each layer and each norm, with their paths."""
    modules: dict[str, list[tuple[str, Any]]] = {}
    for path, leaf in named_leaves(params):
        modules.setdefault(split(path)[0], []).append((path, leaf))
    layers = layers_of(layout)
    names = {layer.name for layer in layers} | {layer.norm for layer in layers}
    strange = {modules[name][0][0] for name in modules.keys() - names}
    if strange := strange | ({layer.name for layer in layers} - modules.keys()):
        raise ValueError(
            f"params: {min(strange) or 'their root'} is in only one of params and"
            " layout; pass the layout of the module that has these params"
        )
    return modules


def _kernel(layer: Layer, leaves: list[tuple[str, Any]]) -> tuple[str, Any]:
    found = [(path, leaf) for path, leaf in leaves if multiplies(path, leaf)]
    if len(found) != 1:
        paths = ", ".join(path for path, _ in leaves)
        raise ValueError(
            f"params: {layer.name} has {len(found)} kernels among its leaves ({paths});"
            " must have exactly one"
        )
    return found[0]


def _axes_by(layer: Layer) -> AxesOf:
    def axes(path: str, leaf: Any) -> Axes:
        found = told_axes(path, leaf) if layer.axes is None else layer.axes
        if found is None:
            raise ValueError(
                f"layout: axes None; {path} {list(leaf.shape)} does not show which axes"
                " are inputs and which are units; pass its Layer axes=, an"
                " lth_jax.leaves.Axes"
            )
        return found

    return axes


def _fits(pixels: Sequence[int], inputs: int, units: int, read: int) -> bool:
    """Whether a kernel of these sizes can read `read` units."""
    if 0 in (inputs, units, read):
        return False
    if pixels:  # a convolution, perhaps of several groups
        return read % inputs == 0 and units % (read // inputs) == 0
    return inputs % read == 0


def _vectors(
    leaves: list[tuple[str, Any]], units: int, kinds: tuple[str, ...]
) -> tuple[str, ...]:
    """The paths of leaves with one number per unit, at most one leaf of each kind."""
    left = list(kinds)
    for path, leaf in leaves:
        kind = "offset" if is_offset(path) else "scale"
        if kind not in left or leaf.size != units:
            allowed = " and ".join(kinds)
            raise ValueError(
                f"params: {path} is {leaf.shape}; must be {allowed} of {units} units"
            )
        left.remove(kind)
    return tuple(path for path, _ in leaves)
