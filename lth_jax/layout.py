"""Layout: how the units of a net connect. Each model family says its own.

A module of one's own says it by a method `layout()`; for smaller nets of its kind it has
`resized(sizes)` beside, to the same module with other numbers of units by place.

What keeps a unit a unit (max pools, averages, flattening, dropout) does not appear: it
changes neither which units depend on which, nor a value that is everywhere the same.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from lth_jax.errors import UserError, name_of
from lth_jax.leaves import Axes

INPUTS = "inputs"  # the place of the inputs: channels, or the features of a dense layer


class Layer(NamedTuple):
    """A kernel, and the leaves that belong to it.

    Its leaves are those of one module: a kernel and, where it has one, a bias. What it
    reads are the units of a place or, of a dense layer that reads a flattened place,
    those of one pixel after the other; of a grouped convolution those of its group. A
    convolution of one pixel reads every pixel. The batch normalisation has scale and
    offset, and adds `models.layers.EPSILON` to variances.
    """

    name: str  # its path
    reads: str  # a place
    norm: str | None = None  # the path of the batch normalisation that follows it
    axes: Axes | None = None  # of the kernel; None: what `leaves.axes_of` tells


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
      NoLayout: if the module has not all of these methods, or is a class.
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
    """The layout of a plain net, each layer of which reads the last.

    Of each (name, norm) or (name, norm, axes), as in `Layer`.
    """
    places, reads = [], INPUTS
    for name, *others in layers:
        places.append(Place(name, (Layer(name, reads, *others),)))
        reads = name
    return tuple(places)


def layers_of(layout: Layout) -> list[Layer]:
    """All layers, in the order of the places that they write to."""
    return [layer for place in layout for layer in place.layers]


def check_order(layout: Layout) -> None:
    """Checks that places read only earlier ones, and that each name is of one thing.

    Raises:
      ValueError: naming the place or layer that is wrong.
    """
    if not all(isinstance(place, Place) for place in _listed(layout)):
        raise ValueError(
            f"layout: {name_of(layout)}; must be a tuple of lth_jax.layout.Place,"
            " as layout() of a module gives it"
        )
    if not layout:
        raise ValueError("layout: no place; the last is the output")
    known, seen = {INPUTS}, set[str]()
    for place in layout:
        if not place.layers or place.name in known:
            raise ValueError(
                f"layout: place {place.name!r}; must have a layer, and a name of its own"
            )
        for layer in place.layers:
            if layer.name in seen:
                raise ValueError(f"layout: layer {layer.name!r} is there twice")
            seen.add(layer.name)
        for read in [layer.reads for layer in place.layers] + [place.skip or INPUTS]:
            if read not in known:
                raise ValueError(
                    f"layout: {place.name} reads {read!r}; must be of the places before"
                    f" it ({', '.join(sorted(known))})"
                )
        known.add(place.name)


def _listed(layout: Any) -> Any:
    return layout if isinstance(layout, tuple | list) else [None]


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
