"""Alignment: pairs the units of two nets, by weight matching.

A permutation of a net's hidden units does not change its function. Nets that were
trained separately can therefore be compared or mixed only after their units are matched.
The method is from Ainsworth et al. 2023, "Git Re-Basin", section 3.2.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linear_sum_assignment

from lth_jax.layout import INPUTS, Layout, streams
from lth_jax.leaves import named_leaves, split
from lth_jax.masks import Params
from lth_jax.wiring import Kernel, Wiring, wire

Units = Mapping[str, np.ndarray]  # by residual stream, a permutation int64[units]

_ROUNDING = 1e-12  # a smaller gain in similarity counts as none


class Alignment(NamedTuple):
    """The units that correspond, and the nets' similarity once they are matched."""

    units: Units  # entry i: the source's unit for the target's unit i
    similarity: tuple[float, ...]  # cosines: before, then after each sweep; increasing


def align(
    layout: Layout, target: Params, source: Params, most_sweeps: int = 100
) -> Alignment:
    """Finds a permutation of the source's hidden units that brings it near the target.

    The similarity is the cosine between the nets: the sum of products of corresponding
    weights, divided by the nets' norms. Kernels, biases, scales and offsets all count.
    A linear assignment raises it for one residual stream at a time, from the inputs on.
    The ascent ends in a local optimum, where a sweep changes nothing, or after
    `most_sweeps`. If a layer reads the stream that it writes to, the assignment
    maximises a linear approximation. A permutation is accepted only if it raises the
    similarity.

    Input and output units are not permuted. Leaves of the source that are 0 have no
    effect. The computation runs on the host, in float64.

    Raises:
      ValueError: if params do not fit the layout, or shapes differ; the message names
        the leaf. Also if a layer is a grouped convolution; the message names the layer.
    """
    nets = _Nets(layout, wire(layout, target), _unit(target), _unit(source))
    nets.check()
    units = identity(layout, target)
    found = [nets.similarity(units)]
    for _ in range(most_sweeps):
        now = found[-1]
        for stream in _movable(layout):
            products = nets.products(stream, units)
            _, order = linear_sum_assignment(products, maximize=True)
            proposed = {**units, stream: order}
            if (reached := nets.similarity(proposed)) > now + _ROUNDING:
                units, now = proposed, reached
        if now == found[-1]:
            break
        found.append(now)
    return Alignment(units, tuple(found))


def identity(layout: Layout, params: Params) -> dict[str, np.ndarray]:
    """Returns the identity permutation int64[units] of each stream."""
    sizes = wire(layout, params).sizes
    return {stream: np.arange(sizes[stream]) for stream in streams(layout).values()}


def places_of(layout: Layout, params: Params, units: Units, tree: Any = None) -> Any:
    """Returns where the entries of each leaf come from when units are permuted.

    The result has an int64[size] leaf for each leaf of `params`, for use by `rearrange`.
    If `tree` is set, its leaves replace those of `params`. It has the same modules;
    batch statistics are an example.

    Raises:
      ValueError: if a leaf belongs to no layer of the layout; it names the leaf.
    """
    wiring, stream_of = wire(layout, params), streams(layout)
    kernels: dict[str, tuple[Kernel, np.ndarray, np.ndarray]] = {}
    modules: dict[str, np.ndarray] = {}
    for place in layout:
        for layer in place.layers:
            kernel = wiring.kernels[layer.name]
            read, written = (units[stream_of[x]] for x in (layer.reads, place.name))
            kernels[kernel.path] = kernel, read, written
            modules |= {name: written for name in (layer.name, layer.norm) if name}
    tree = params if tree is None else tree
    found = []
    for path, leaf in named_leaves(tree):
        own = modules.get(split(path)[0])
        if own is None or (path not in kernels and leaf.size != own.size):
            raise ValueError(f"tree: {path} is {leaf.shape}; it fits no layer's units")
        if path in kernels:
            kernel, read, written = kernels[path]
            at = kernel.by_unit(np.arange(leaf.size).reshape(leaf.shape))
            own = np.empty(leaf.size, np.int64)
            own[at.ravel()] = at[:, read][:, :, written].ravel()
        found.append(own)
    return jax.tree.unflatten(jax.tree.structure(tree), found)


def rearrange(tree: Any, places: Any) -> Any:
    """Returns the tree with entries taken from `places`; pure, for `jit` and `vmap`."""
    return jax.tree.map(lambda x, p: jnp.ravel(x)[p].reshape(x.shape), tree, places)


def _unit(params: Params) -> dict[str, np.ndarray]:
    """Returns the leaves by path, scaled to a joint norm of 1 unless all are 0."""
    found = {path: np.asarray(leaf, np.float64) for path, leaf in named_leaves(params)}
    length = math.sqrt(sum(float(np.vdot(x, x)) for x in found.values())) or 1.0
    return {path: leaf / length for path, leaf in found.items()}


def _movable(layout: Layout) -> list[str]:
    """Returns the streams whose units may be permuted, from the inputs on."""
    found = streams(layout)
    fixed = INPUTS, found[layout[-1].name]
    return list(dict.fromkeys(s for s in found.values() if s not in fixed))


class _Nets(NamedTuple):
    """Both nets, with their leaves by path."""

    layout: Layout
    wiring: Wiring
    target: Mapping[str, np.ndarray]
    source: Mapping[str, np.ndarray]

    def check(self) -> None:
        shapes = [
            {path: leaf.shape for path, leaf in net.items()}
            for net in (self.target, self.source)
        ]
        for path in sorted(shapes[0].keys() | shapes[1].keys()):
            ours, theirs = (own.get(path, "missing") for own in shapes)
            if ours != theirs:
                raise ValueError(f"source: {path} is {theirs}; the target's is {ours}")
        for name, kernel in self.wiring.kernels.items():
            if kernel.num_groups > 1:
                raise ValueError(
                    f"layout: {name} has {kernel.num_groups} groups; grouped convolutions"
                    " cannot be aligned"
                )

    def similarity(self, units: Units) -> float:
        """Returns the nets' similarity when the source has these units."""
        found = 0.0
        for read, written, (ours, theirs) in self._kernels():
            found += float(np.vdot(ours, theirs[:, units[read]][:, :, units[written]]))
        for written, (one, other) in self._vectors():
            found += float(np.vdot(one, other[units[written]]))
        return found

    def products(self, stream: str, units: Units) -> np.ndarray:
        """Returns what each pair of units adds to the cosine, float64[target, source]."""
        found = np.zeros((len(units[stream]),) * 2)
        for read, written, (ours, theirs) in self._kernels():
            if written == stream:
                found += _flat(ours, 2) @ _flat(theirs[:, units[read]], 2).T
            if read == stream:
                found += _flat(ours, 1) @ _flat(theirs[:, :, units[written]], 1).T
        for written, (one, other) in self._vectors():
            if written == stream:
                found += np.outer(one, other)
        return found

    def _kernels(self) -> Iterator[tuple[str, str, Sequence[np.ndarray]]]:
        """Yields the streams read and written, and both kernels [pixels, in, out]."""
        stream_of = streams(self.layout)
        for place in self.layout:
            for layer in place.layers:
                kernel = self.wiring.kernels[layer.name]
                both = [
                    kernel.by_unit(net[kernel.path]) for net in (self.target, self.source)
                ]
                yield stream_of[layer.reads], stream_of[place.name], both

    def _vectors(self) -> Iterator[tuple[str, Sequence[np.ndarray]]]:
        """Yields the stream written, and both nets' values for each of its units."""
        stream_of = streams(self.layout)
        for place in self.layout:
            for layer in place.layers:
                for path in self.wiring.own_vectors(layer):
                    both = [np.ravel(net[path]) for net in (self.target, self.source)]
                    yield stream_of[place.name], both


def _flat(kernel: np.ndarray, axis: int) -> np.ndarray:
    """Returns a matrix with one row for each unit along an axis."""
    rows = np.moveaxis(kernel, axis, 0)
    return rows.reshape(len(rows), -1)
