"""SVG: figures as parts of a page, which sets their colours and hides their lines."""

import io
import re
from collections.abc import Iterable

import matplotlib
from matplotlib.figure import Figure

from lth_jax.report import style
from lth_jax.report.palette import Shown

# Colours that the page's style sheet replaces in light and dark mode.
_VARIABLES = {
    style.INK: "--ink",
    style.FAINT: "--faint",
    style.GRID: "--grid",
    style.ACCENT: "--accent",
    style.OTHERS: "--others",
    style.RANDOM: "--random",
}


def inline(figure: Figure, name: str, palette: Iterable[Shown] = ()) -> str:
    """Returns a figure as an SVG element, and freezes the figure's layout.

    Files in other formats then have the same layout. An artist with the gid
    `data-<key>-<value>` becomes an element with the attribute data-<key>="<value>"; a
    value ends at its first hyphen. Ids begin with `name`, which must be unique on the
    page. The palette's colours become the page's CSS variables, by key.
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
    # Matplotlib's versions differ in how they write fonts.
    font = r"(font-family: |font: (?:[a-z0-9]+ )*[\d.]+px )"
    svg = re.sub(rf'{font}[^;"]+', r"\1var(--font)", svg)
    shown = {arm.colour.figure: f"--{arm.key}" for arm in palette}
    for colour, variable in {**_VARIABLES, **shown}.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.replace("#000000", "var(--ink)").strip()
