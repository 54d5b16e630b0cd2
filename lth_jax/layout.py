"""Layout: how the units of a net connect. Each model family says its own.

A module of one's own says it by a method `layout()`; for smaller nets of its kind it has
`resized(sizes)` beside, to the same module with other numbers of units by place.

What keeps a unit a unit (max pools, averages, flattening, dropout) does not appear: it
changes neither which units depend on which, nor a value that is everywhere the same.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax

from lth_jax.errors import UserError

INPUTS = "inputs"  # the place of the inputs: channels, or the features of a dense layer


class Layer(NamedTuple):
    """A kernel, and what goes with it.

    Its leaves are `<name>/kernel` [..., rows, units] and, where it has one, `<name>/bias`
    [units]. Its rows are the units of the place that it reads or, where that is
    flattened, those of one pixel after the other. The batch normalisation adds
    `models.layers.EPSILON` to variances.
    """

    name: str  # its path
    reads: str  # a place
    norm: str | None = None  # the path of the batch normalisation that follows it


class Place(NamedTuple):
    """The units (neurons, channels) at one place of a net.

    They are the ReLU of the sum of all that writes to them; without it in the last
    place, which holds the logits.
    """

    name: str  # of the layer, or of the residual block
    layers: tuple[Layer, ...]  # that write to it
    skip: str | None = None  # the place that a residual connection adds as it is


Layout = tuple[Place, ...]  # each place after those that it reads; the output last


class NoLayout(UserError, ValueError):
    """A net that does not say how its units connect, where that is needed."""


def layout_of(module: Any, what: str, methods: Iterable[str] = ("layout",)) -> Layout:
    """The layout of a module of linen or nnx, which `what` needs, for the message.

    Raises:
      NoLayout: if the module has not all of these methods.
    """
    for method in methods:
        if not hasattr(module, method):
            raise NoLayout(
                f"{what} needs module.{method}(), which {type(module).__name__} does not"
                " have; see lth_jax.layout"
            )
    layout: Layout = module.layout()
    return layout


def chain(layers: Iterable[tuple[str, str | None]]) -> Layout:
    """The layout of a plain net: (layer, norm) by (layer, norm), each reads the last."""
    places, reads = [], INPUTS
    for name, norm in layers:
        places.append(Place(name, (Layer(name, reads, norm),)))
        reads = name
    return tuple(places)


def streams(layout: Layout) -> dict[str, str]:
    """The residual stream of each place, by the name of the stream's first place.

    The places of a stream have their units in common; a place alone is its own stream.
    """
    found = {INPUTS: INPUTS}
    for place in layout:
        found[place.name] = found[place.skip] if place.skip else place.name
    return found


def free_places(layout: Layout) -> list[Place]:
    """Hidden places whose units one layer writes, and no residual connection ties."""
    shared = list(streams(layout).values())
    return [
        place
        for place in layout[:-1]
        if len(place.layers) == 1 and shared.count(place.name) == 1
    ]


def readers(layout: Layout, place: str) -> list[tuple[Layer, str]]:
    """The layers that read a place, each with the place it writes to."""
    return [
        (layer, target.name)
        for target in layout
        for layer in target.layers
        if layer.reads == place
    ]


def leaf_axes(layout: Layout) -> dict[str, tuple[str | None, str]]:
    """The places of every leaf's rows (None without) and units, by its path.

    Of params and batch statistics. Some leaves may not exist, such as a layer's bias.
    """
    axes: dict[str, tuple[str | None, str]] = {}
    for place in layout:
        for layer in place.layers:
            axes[f"{layer.name}/kernel"] = (layer.reads, place.name)
            axes[f"{layer.name}/bias"] = (None, place.name)
            if layer.norm:
                for leaf in ("scale", "bias", "mean", "var"):
                    axes[f"{layer.norm}/{leaf}"] = (None, place.name)
    return axes


def by_unit(kernel: Any, num_read: int) -> Any:
    """A kernel as [pixels, units read, units], of convolutions and flattened places."""
    return kernel.reshape(-1, num_read, kernel.shape[-1])


def sizes(layout: Layout, params: Any) -> dict[str, int]:
    """The number of units of every place, the inputs' too; params may be masks.

    Raises:
      ValueError: where params are not those of the layout, naming a leaf.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    named = {jax.tree_util.keystr(k, simple=True, separator="/"): x for k, x in leaves}
    paths = {path: leaf.shape for path, leaf in named.items()}
    axes = leaf_axes(layout)
    kernels = {path for path in axes if path.endswith("/kernel")}
    if strange := (paths.keys() - axes.keys()) | (kernels - paths.keys()):
        raise ValueError(
            f"params: {min(strange)} is in only one of params and layout; give the"
            " layout of the module whose params they are"
        )
    found: dict[str, int] = {}
    for path in [path for path in axes if path in paths]:
        rows, units = axes[path]
        if rows == INPUTS:
            found.setdefault(INPUTS, paths[path][-2])
        if found.setdefault(units, paths[path][-1]) != paths[path][-1] or (
            rows and not _reads(paths[path], found[rows])
        ):
            raise ValueError(f"params: {path} is {paths[path]}; the layout has {found}")
    return found


def _reads(shape: tuple[int, ...], number: int) -> bool:
    """Whether a kernel's rows are so many units, of all pixels in a dense layer's."""
    return shape[-2] % number == 0 if len(shape) == 2 else shape[-2] == number
