"""Palette: names and colours of a study's arms, and colours of a net's layers."""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from matplotlib.colors import LinearSegmentedColormap, to_hex

from lth_jax.lottery.arms import ARMS, Colour, reported_arm

# For the user's arms that set no colour: far from the package's in light and dark mode.
_SPARE = (
    Colour("#3333dd", "#3333dd", "#8a93ff"),
    Colour("#d900bd", "#d900bd", "#ff66ee"),
    Colour("#1f8a00", "#1f8a00", "#5fd83c"),
    Colour("#e0002e", "#e0002e", "#ff5a6e"),
)
# From the input to the output; visible on white and on the page's black.
_DEPTHS = LinearSegmentedColormap.from_list("depths", ("#00878a", "#7a6fd0", "#d0487a"))


class Shown(NamedTuple):
    """The looks of an arm, or of one of several studies, in every figure."""

    key: str  # of its lines, its button and its CSS variable; a plain word
    label: str  # for the end of a line
    colour: Colour


def shown(names: Iterable[str]) -> dict[str, Shown]:
    """Returns the looks of arms by name, without criteria.

    They are in the order of `ARMS`; the user's own arms follow.
    """
    named = ((name, reported_arm(name)) for name in names)
    arms = {name: arm for name, arm in named if not arm.is_criterion}
    own = [name for name in arms if name not in ARMS]
    taken = {arm.colour for arm in arms.values()}
    package = [arm.colour for arm in ARMS.values() if arm.colour]
    spare = itertools.cycle([c for c in (*_SPARE, *package) if c not in taken] or _SPARE)
    keys = {name: f"own{i}" for i, name in enumerate(own)}
    return {
        name: Shown(keys.get(name, name), arm.label, arm.colour or next(spare))
        for name in (*ARMS, *own)
        if (arm := arms.get(name))
    }


def unlisted(label: str, colour: str) -> Shown:
    """Returns the looks of a line that has no button in the page's legend."""
    return Shown(label.replace(" ", "_"), label, Colour(colour, colour, colour))


TICKET = shown(["ticket"])["ticket"].colour.figure


def of_layers(names: Sequence[str]) -> dict[str, str]:
    """Returns a colour "#rrggbb" for each layer; layers are in order from the input."""
    last = max(1, len(names) - 1)
    return {name: to_hex(_DEPTHS(i / last)) for i, name in enumerate(names)}
