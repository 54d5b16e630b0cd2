"""SVG: figures as parts of a page, which colours and switches what they show."""

import io
import re
from collections.abc import Iterable

import matplotlib
from matplotlib.figure import Figure

from lth_jax.report import style
from lth_jax.report.palette import Shown

# What the page's style sheet gives a colour of its own by day and by night.
_VARIABLES = {
    style.INK: "--ink",
    style.FAINT: "--faint",
    style.GRID: "--grid",
    style.ACCENT: "--accent",
}


def inline(figure: Figure, name: str, palette: Iterable[Shown] = ()) -> str:
    """A figure as an SVG element; it keeps the layout found, for files of other formats.

    Artists whose gid is `data-<key>-<value>` become elements with the attribute
    data-<key>="<value>" (up to the value's first hyphen). Ids begin with the name, which
    no other figure of the page has. The palette's colours become the page's, by key.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="data-([a-z]+)-([^"-]+)[^"]*"', r'data-\1="\2"', svg)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1{name}-", svg)
    font = r"(font-family: |font: (?:[a-z0-9]+ )*[\d.]+px )"  # by matplotlib's version
    svg = re.sub(rf'{font}[^;"]+', r"\1var(--font)", svg)
    shown = {arm.colour.figure: f"--{arm.key}" for arm in palette}
    for colour, variable in {**_VARIABLES, **shown}.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.replace("#000000", "var(--ink)").strip()
