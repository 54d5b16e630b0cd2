"""Lines: what analyses show over the share of weights kept."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lth_jax.analysis.intervals import Estimate
from lth_jax.lottery.arms import Colour
from lth_jax.report import style
from lth_jax.report.density_plots import Series
from lth_jax.report.palette import TICKET, Shown

# What an analysis is about, what it is compared with, and one more; told apart by
# colour-blind readers, by day and by night.
FOUND, CHANCE, OTHER, MORE = TICKET, style.FAINT, style.ACCENT, "#009e73"


def looks(label: str, colour: str) -> Shown:
    """How a line of an analysis looks; the page's legend has no button for it."""
    return Shown(label.replace(" ", "_"), label, Colour(colour, colour, colour))


def estimate(found: Mapping[str, Any] | float) -> Estimate:
    """What a file has of an estimate; of a number alone one without an interval."""
    if isinstance(found, Mapping):
        numbers = (found[name] for name in Estimate._fields)
        return Estimate(*(math.nan if x is None else float(x) for x in numbers))
    return Estimate(float(found), math.nan, math.nan)


def series(
    label: str,
    colour: str,
    points: Sequence[tuple[int, float, Mapping[str, Any] | float]],
) -> Series:
    """A line of levels, densities and what a file has of an estimate there."""
    found = [(level, density, estimate(x)) for level, density, x in points]
    return Series(looks(label, colour), found)
