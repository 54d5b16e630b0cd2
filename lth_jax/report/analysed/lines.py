"""Lines: lines of an analysis over density, with their looks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lth_jax.analysis.intervals import Estimate
from lth_jax.report import style
from lth_jax.report.density_plots import Series
from lth_jax.report.palette import TICKET, unlisted

# The subject of an analysis, what it is compared with, and two more. Colour-blind readers
# can tell them apart, in light and dark mode.
FOUND, CHANCE, OTHER, MORE = TICKET, style.FAINT, style.ACCENT, "#a07400"


def estimate(found: Mapping[str, Any] | float) -> Estimate:
    """Returns an estimate from a file; a plain number has no interval (NaN)."""
    if isinstance(found, Mapping):
        numbers = (found[name] for name in Estimate._fields)
        return Estimate(*(math.nan if x is None else float(x) for x in numbers))
    return Estimate(float(found), math.nan, math.nan)


def series(
    label: str,
    colour: str,
    points: Sequence[tuple[int, float, Mapping[str, Any] | float]],
) -> Series:
    """Returns a line from points of (level, density, estimate as a file has it)."""
    found = [(level, density, estimate(x)) for level, density, x in points]
    return Series(unlisted(label, colour), found)
