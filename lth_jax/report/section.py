"""Section: figures of a page under one heading."""

import re
from typing import NamedTuple

from lth_jax.report.style import Plot


class Section(NamedTuple):
    """Figures under one heading."""

    title: str
    lead: str  # how to read the figures
    plots: dict[str, Plot]  # by the name of their files and elements on the page
    size: str  # "wide", two in a row, or "small", three


def plain(name: str) -> str:
    """Returns a name with "_" for each character that is not a letter, digit or "_"."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)
