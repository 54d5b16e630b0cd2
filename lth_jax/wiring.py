"""Wiring: where the layers of a layout are in a pytree, and what its weights read."""

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
    """The weights of a layer.

    A matrix is [pixels, inputs, units]; where a dense layer reads a flattened place, its
    inputs are those of all pixels.
    """

    path: str
    shape: tuple[int, ...]
    axes: Axes
    num_read: int  # units of the place that it reads
    is_unit_first: (
        bool  # whether a flattened place has unit after unit, each of all pixels
    )

    @property
    def num_pixels(self) -> int:
        """How many pixels of an input its weights are for; 1 of a dense layer."""
        return math.prod(self._sizes[:-2])

    @property
    def num_groups(self) -> int:
        """Of a grouped convolution; else 1."""
        return 1 if len(self._sizes) == 2 else self.num_read // self._sizes[-2]

    def reads(self) -> np.ndarray:
        """Which unit a weight reads: int[inputs, units], or [inputs, 1] if all alike."""
        *_, inputs, units = self._sizes
        rows = np.arange(inputs)[:, None]
        if self.num_groups > 1:
            return rows + np.arange(units) // (units // self.num_groups) * inputs
        if self.is_unit_first:
            return rows // (inputs // self.num_read)
        return rows % self.num_read

    def by_unit(self, leaf: np.ndarray) -> np.ndarray:
        """A leaf of its shape as [pixels, units read, units], 0 where no weight is."""
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
        """For every weight, in the kernel's shape, the value of its own unit."""
        return self._restored(np.ravel(values))

    def of_read(self, values: Any) -> np.ndarray:
        """For every weight, in the kernel's shape, the value of the unit it reads."""
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
    """A layout, and where its layers are in a pytree."""

    sizes: dict[str, int]  # the number of units of every place, the inputs' too
    kernels: Mapping[str, Kernel]  # by the layer's name
    vectors: Mapping[str, tuple[str, ...]]  # paths, by the name of the layer or the norm

    def own_vectors(self, layer: Layer) -> tuple[str, ...]:
        """Leaves of one number for each unit: the bias, the norm's scale and offset."""
        return self.vectors[layer.name] + self.vectors.get(layer.norm or "", ())

    def scale(self, layer: Layer) -> str | None:
        """The scale of the layer's normalisation, if there is one."""
        found = [path for path in self.own_vectors(layer) if not is_offset(path)]
        return found[0] if found else None

    def offset(self, layer: Layer) -> str | None:
        """What is added last: the norm's offset, or without a norm the layer's bias."""
        found = filter(is_offset, self.vectors[layer.norm or layer.name])
        return next(found, None)


def wire(layout: Layout, params: Any) -> Wiring:
    """Finds the layers of a layout in params of any framework, or in their masks.

    Raises:
      ValueError: naming a leaf, where params are not those of the layout, or nothing
        tells what the axes of a kernel are; or on a layout that is out of order.
    """
    check_order(layout)
    modules = _modules(layout, params)
    sizes: dict[str, int] = {}
    kernels: dict[str, Kernel] = {}
    vectors: dict[str, tuple[str, ...]] = {}
    unit_first: set[str] = set()  # places that have, flattened, unit after unit
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
    """The number of units of every place, the inputs' too; see `wire`."""
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
            " layout; give the layout of the module whose params they are"
        )
    return modules


def _kernel(layer: Layer, leaves: list[tuple[str, Any]]) -> tuple[str, Any]:
    found = [(path, leaf) for path, leaf in leaves if multiplies(path, leaf)]
    if len(found) != 1:
        paths = ", ".join(path for path, _ in leaves)
        raise ValueError(
            f"params: {layer.name} has {len(found)} kernels among its leaves ({paths});"
            " a layer of a layout has one"
        )
    return found[0]


def _axes_by(layer: Layer) -> AxesOf:
    def axes(path: str, leaf: Any) -> Axes:
        found = told_axes(path, leaf) if layer.axes is None else layer.axes
        if found is None:
            raise ValueError(
                f"layout: axes None; {path} {list(leaf.shape)} does not tell which axes"
                " are inputs and which units; give its Layer axes=, an"
                " lth_jax.leaves.Axes"
            )
        return found

    return axes


def _fits(pixels: Sequence[int], inputs: int, units: int, read: int) -> bool:
    """Whether a matrix may read so many units."""
    if 0 in (inputs, units, read):
        return False
    if pixels:  # a convolution, maybe of several groups
        return read % inputs == 0 and units % (read // inputs) == 0
    return inputs % read == 0


def _vectors(
    leaves: list[tuple[str, Any]], units: int, kinds: tuple[str, ...]
) -> tuple[str, ...]:
    """The paths of leaves that have one number for each unit, at most one of a kind."""
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
