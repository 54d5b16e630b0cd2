"""Layout: how the units of a net connect; each model family defines its own.

Your own module returns its layout from a method `layout()`. To build smaller nets, it
also needs `resized(sizes)`, which returns the module with new numbers of units, by place.

A layout omits max pools, averages, flattening and dropout. They do not change which units
depend on which, and they preserve a value that is the same at every pixel.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from lth_jax.errors import UserError, name_of
from lth_jax.leaves import Axes

INPUTS = "inputs"  # the place of the inputs: channels, or the features of a dense layer


class Layer(NamedTuple):
    """A kernel, and the leaves that belong to it.

    Its leaves are those of one module: a kernel and, if there is one, a bias. A layer
    reads the units of a place. A dense layer that reads a flattened place reads them
    pixel after pixel. A unit of a grouped convolution reads the units of its group only.
    A 1x1 convolution reads every pixel. The batch normalisation has scale and offset, and
    adds `models.layers.EPSILON` to variances.
    """

    name: str  # its path
    reads: str  # a place
    norm: str | None = None  # the path of the batch normalisation that follows it
    axes: Axes | None = None  # of the kernel; None: those of `leaves.axes_of`


class Place(NamedTuple):
    """The units (neurons, channels) at one place of a net.

    Their values are the ReLU of the sum of all layers that write to them. The last place
    holds the logits, and has no ReLU.
    """

    name: str  # of the layer, or of the residual block
    layers: tuple[Layer, ...]  # the layers that write to it
    skip: str | None = None  # the place whose values a residual connection adds


Layout = tuple[Place, ...]  # each place follows those that it reads; the output is last


class NoLayout(UserError, ValueError):
    """A net that needs a layout has none."""


def layout_of(module: Any, what: str, methods: Iterable[str] = ("layout",)) -> Layout:
    """Returns the layout of a linen or nnx module.

    `what` says in the error what needs the layout.

    Raises:
      NoLayout: if the module lacks one of these methods, or is a class.
    """
    for method in methods:
        if isinstance(module, type) or not hasattr(module, method):
            raise NoLayout(
                f"{what} needs module.{method}(), which {name_of(module)} does not"
                " have; see lth_jax.layout"
            )
    layout: Layout = module.layout()
    return layout


def chain(layers: Iterable[tuple[Any, ...]]) -> Layout:
    """Returns the layout of a plain net, in which each layer reads the previous one.

    Each layer is (name, norm) or (name, norm, axes), as in `Layer`.
    """
    places, reads = [], INPUTS
    for name, *others in layers:
        places.append(Place(name, (Layer(name, reads, *others),)))
        reads = name
    return tuple(places)


def layers_of(layout: Layout) -> list[Layer]:
    """Returns all layers, in the order of the places that they write to."""
    return [layer for place in layout for layer in place.layers]


def check_order(layout: Layout) -> None:
    """Checks that places read only earlier places, and that names are unique.

    Raises:
      ValueError: if they do not; it names the place or the layer.
    """
    if not all(isinstance(place, Place) for place in _listed(layout)):
        raise ValueError(
            f"layout: {name_of(layout)}; must be a tuple of lth_jax.layout.Place,"
            " as a module's layout() returns it"
        )
    if not layout:
        raise ValueError("layout: no place; must have at least the output")
    known, seen = {INPUTS}, set[str]()
    for place in layout:
        if not place.layers or place.name in known:
            raise ValueError(
                f"layout: place {place.name!r}; must have a layer and a unique name"
            )
        for layer in place.layers:
            if layer.name in seen:
                raise ValueError(f"layout: layer {layer.name!r} is there twice")
            seen.add(layer.name)
        for read in [layer.reads for layer in place.layers] + [place.skip or INPUTS]:
            if read not in known:
                raise ValueError(
                    f"layout: {place.name} reads {read!r}; must be one of the places"
                    f" before it ({', '.join(sorted(known))})"
                )
        known.add(place.name)


def _listed(layout: Any) -> Any:
    return layout if isinstance(layout, tuple | list) else [None]


def streams(layout: Layout) -> dict[str, str]:
    """Returns, for each place by name, the first place of its residual stream.

    The places of a stream share their units. A place with no residual connection is its
    own stream.
    """
    found = {INPUTS: INPUTS}
    for place in layout:
        found[place.name] = found[place.skip] if place.skip else place.name
    return found


def free_places(layout: Layout) -> list[Place]:
    """Returns the hidden places that one layer writes to and no other place shares."""
    shared = list(streams(layout).values())
    return [
        place
        for place in layout[:-1]
        if len(place.layers) == 1 and shared.count(place.name) == 1
    ]


def readers(layout: Layout, place: str) -> list[tuple[Layer, str]]:
    """Returns the layers that read a place, and the name of the place each writes to."""
    return [
        (layer, target.name)
        for target in layout
        for layer in target.layers
        if layer.reads == place
    ]
