"""Style: colours, names and axes that all figures share."""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

INK = "#1b1b1b"
FAINT = "#767676"
GRID = "#e4e4e4"
ACCENT = "#8e2f97"  # of no arm
OTHERS = "#d0d0d0"  # behind what a panel is about
RANDOM = "#5a5a5a"
WIDE, SMALL = (4.9, 3.5), (2.9, 2.3)  # inches: two and three in a row on a page
DOTS: dict[str, Any] = {"marker": "o", "markersize": 3.2}
_FONT_SIZE = 10
_COINCIDE = 0.01  # share of the range of all lines within which two coincide
_LABELS_PER_INCH = 2  # of a figure's width, below an axis of densities
_LABEL_GAP = 0.241  # inches between labels in the title's font size

Hover = dict[int, tuple[str, list[tuple[str, str, str]]]]


class Plot(NamedTuple):
    """A figure, and the content of its hover zones by level.

    A zone has a heading, and (key, name, value) for each line.
    """

    figure: Figure
    hover: Hover | None = None


def panel(
    title: str,
    size: tuple[float, float] = WIDE,
    colour: str = INK,
) -> tuple[Figure, Axes]:
    """Returns an empty figure and its axes, with a coloured title at the left."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    large = _FONT_SIZE * (1 if size[0] == WIDE[0] else 0.85)
    axes.set_title(title, loc="left", fontsize=large, color=colour)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=0.9 * large, color=FAINT)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(color=INK, fontsize=0.9 * large)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def density_axis(axes: Axes, densities: Sequence[float]) -> None:
    """Makes the x axis logarithmic, dense at the left as in the paper; ticks at levels.

    If one net has no weights left, the axis is linear between 0 and the sparsest other.
    """
    percents = {100 * density for density in densities}
    positive = sorted(percents - {0}, reverse=True) or [1.0]
    most, least = positive[0], positive[-1]
    margin = (most / least) ** 0.04 if most > least else 1.2
    figure = axes.get_figure(root=True)
    assert figure is not None
    ticks = density_ticks(positive, figure.get_figwidth())
    is_empty = 0 in percents
    axes.set_xscale(**log_scale(percents))
    axes.set_xlim(most * margin, -0.1 * least if is_empty else least / margin)
    axes.set_xticks([*ticks, *[0.0] * is_empty])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.3g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("weights kept, % (log scale; sparser to the right)")


def density_ticks(percents: Iterable[float], inches: float) -> list[float]:
    """Returns the densities (in percent) whose labels fit a log axis, densest first.

    The ends come first, then numbers of few digits. `inches` is the size of the figure
    along the axis.
    """
    found = sorted({*percents})
    ends = found[0], found[-1]
    apart = math.log(ends[1] / ends[0]) / (_LABELS_PER_INCH * inches)
    ticks = [*{*ends}]
    for percent in sorted(found[1:-1], key=lambda x: (_num_digits(x), -x)):
        if all(abs(math.log(percent / tick)) >= apart for tick in ticks):
            ticks.append(percent)
    return sorted(ticks, reverse=True)


def _num_digits(percent: float) -> int:
    """The number of digits in a tick's label, without zeros at its ends."""
    return len(f"{percent:.3g}".replace(".", "").strip("0"))


def log_scale(values: Iterable[float]) -> dict[str, Any]:
    """Returns a logarithmic scale; with 0 among the values, it is linear near 0.

    The linear part reaches to the smallest positive value.
    """
    found = set(values)
    if 0 not in found:
        return {"value": "log"}
    positive = found - {0} or {1.0}
    decades = math.log10(max(positive) / min(positive))
    room = max(0.5, decades / 7)
    return {"value": "symlog", "linthresh": min(positive), "linscale": room}


def hover_zones(axes: Axes, levels: Sequence[tuple[int, float]]) -> None:
    """Draws an invisible zone around each level, where the page shows a tooltip.

    The limits of the axes must be final, and the levels' densities must decrease.
    """
    scale = axes.xaxis.get_transform()
    places = scale.transform(np.array([100 * density for _, density in levels]))
    between = scale.inverted().transform((places[:-1] + places[1:]) / 2)
    left, right = axes.get_xlim()
    edges = itertools.pairwise([left, *between, right])
    for (level, _), (a, b) in zip(levels, edges, strict=True):
        zone = axes.axvspan(a, b, alpha=0, linewidth=0, zorder=10)
        zone.set_gid(f"data-level-{level}")


def banded_line(
    axes: Axes,
    xy: tuple[Sequence[float] | np.ndarray, np.ndarray],
    colour: str,
    key: str | None = None,
    *,
    alpha: float,
    edge: float = 0,
    **looks: Any,
) -> None:
    """Draws a line of estimates and the band of their intervals.

    The button of `key` hides both. `xy` are places [n] and estimates [n, 3]. `edge` is
    the line width of the band's outline, and `looks` are arguments of the line.
    """
    x, (y, low, high) = xy[0], xy[1].T
    band = axes.fill_between(x, low, high, alpha=alpha, linewidth=edge, color=colour)
    (line,) = axes.plot(x, y, color=colour, **looks)
    if key is not None:
        band.set_gid(f"data-series-{key}-band")
        line.set_gid(f"data-series-{key}-line")


def told_apart(
    lines: Sequence[Sequence[tuple[float, float]]],
) -> list[str | tuple[float, tuple[float, float]]]:
    """Returns the line style of each line of (x, y), in drawing order.

    A line that coincides with earlier ones is dashed, so that they show in its gaps. Any
    other is solid ("-").
    """
    y = [value for line in lines for _, value in line if math.isfinite(value)]
    close = _COINCIDE * (max(y) - min(y)) if y else 0.0
    styles: list[str | tuple[float, tuple[float, float]]] = []
    for i, line in enumerate(lines):
        own = dict(line)
        below = sum(_coincide(own, dict(other), close) for other in lines[:i])
        styles.append((3.0 * below, (3, 3 * below)) if below else "-")
    return styles


def _coincide(a: dict[float, float], b: dict[float, float], close: float) -> bool:
    both = a.keys() & b.keys()
    return len(both) > 1 and all(abs(a[x] - b[x]) <= close for x in both)


class Label(NamedTuple):
    """A name for the end of a line."""

    y: float
    text: str
    colour: str
    key: str


def reference_line(axes: Axes, y: float, name: str) -> Label:
    """Draws a dashed horizontal line across the figure; returns its label."""
    axes.axhline(y, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    return Label(y, name, FAINT, "reference")


def label_ends(axes: Axes, labels: Sequence[Label], size: float = 0.9) -> None:
    """Labels lines at the right edge, at the height of their ends if there is room.

    Labels that would overlap move up; those that would leave the axes move down.
    The limits of the axes must be final. `size` is relative to the title's font size.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    ordered = sorted(labels)
    right = axes.get_xlim()[1]
    ends = [float(to_axes.transform((right, label.y))[1]) for label in ordered]
    figure = axes.get_figure(root=True)
    assert figure is not None
    gap = _LABEL_GAP * size / figure.get_figheight()
    raised = itertools.accumulate(ends, lambda below, end: max(end, below + gap))
    from_top = [min(1.0, height) for height in reversed(list(raised))]
    lowered = itertools.accumulate(from_top, lambda above, end: min(end, above - gap))
    for label, height in zip(ordered, reversed(list(lowered)), strict=True):
        text = axes.annotate(
            label.text,
            (1, height),
            xycoords="axes fraction",
            xytext=(4, 0),
            textcoords="offset points",
            color=label.colour,
            fontsize=size * _FONT_SIZE,
            va="center",
            annotation_clip=False,
            parse_math=False,  # a study's name may contain "$"
        )
        text.set_gid(f"data-series-{label.key}")
