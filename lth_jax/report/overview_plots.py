"""Overview plots: the main results of several studies, side by side, with intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, NullLocator

from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.metric import Metric
from lth_jax.analysis.overview import Overview
from lth_jax.report import style
from lth_jax.report.axes_of_studies import NumericAxis
from lth_jax.report.palette import Shown
from lth_jax.report.style import Plot

_ROW = 0.2  # inches
_AXIS = 4.0  # inches of a figure beside the names of its rows
_WIDE_RANGE = 8  # ratio of most to least from which a numeric axis is logarithmic


class Measure(NamedTuple):
    """One number of an overview, for a figure."""

    title: str
    scale: float
    reference: tuple[float, str] | None  # the value of a reference line, and its name
    is_density: bool = False


def measures(metric: Metric) -> dict[str, Measure]:
    """Returns the measures that figures show, by the field of an overview."""
    points = metric.points and f",{metric.points}"
    zero, none = (0.0, "the same"), (0.0, "none")
    return {
        "dense": Measure(
            f"Dense net: test {metric.name} at early stop{metric.axis}",
            metric.scale,
            None,
        ),
        "matching": Measure(
            "Sparsest level that matches dense, weights kept, %",
            100,
            None,
            is_density=True,
        ),
        "over_dense": Measure(
            f"Ticket minus dense, over all levels{points}", metric.scale, zero
        ),
        "over_reinit": Measure(
            f"Ticket minus a fresh init, over all levels{points}", metric.scale, zero
        ),
        "at_sparsest": Measure(
            f"Ticket minus dense, at the sparsest level{points}", metric.scale, zero
        ),
        "dense_barrier": Measure("Error barrier between dense nets, points", 100, none),
        "ticket_barrier": Measure("Error barrier between tickets, points", 100, none),
    }


def in_rows(
    measure: Measure, names: Sequence[str], found: Sequence[Estimate | None]
) -> Plot:
    """Draws a row for each study, the first at the top: a dot and its interval."""
    size = style.WIDE[0], 0.95 + _ROW * len(names)
    figure, axes = style.panel(measure.title, size)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=style.GRID, linewidth=0.8)
    for row, estimate in enumerate(found):
        if estimate is None:
            continue
        value, low, high = (measure.scale * number for number in estimate)
        axes.plot([low, high], [row, row], color=style.INK, linewidth=1.4)
        axes.plot([value], [row], color=style.INK, **style.DOTS | {"markersize": 5})
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.tick_params(axis="y", length=0)
    if measure.is_density:
        axes.set_xscale("log")
        _density_ticks(axes.xaxis, found)
        axes.invert_xaxis()
    if measure.reference is not None:
        axes.axvline(measure.reference[0], color=style.FAINT, linewidth=1, zorder=0)
    return Plot(figure)


def along(
    measure: Measure,
    axis: NumericAxis,
    looks: Mapping[str, Shown],
    found: Sequence[Estimate | None],
) -> Plot:
    """Draws a measure against a numeric field, a line for each of the other values."""
    figure, axes = style.panel(measure.title)
    numbers = [number for line in axis.lines.values() for number, _ in line]
    if min(numbers) > 0 and max(numbers) >= _WIDE_RANGE * min(numbers):
        axes.set_xscale("log")
    labels = []
    lines = {
        name: known
        for name, line in axis.lines.items()
        if (known := [(number, x) for number, i in line if (x := found[i]) is not None])
    }
    means = [[(number, x.value) for number, x in known] for known in lines.values()]
    dashes = dict(zip(lines, style.told_apart(means), strict=True))
    for name, known in lines.items():
        shown = looks.get(name)
        colour = style.INK if shown is None else shown.colour.figure
        places = [number for number, _ in known]
        y = measure.scale * np.array([estimate for _, estimate in known])
        key = None if shown is None else shown.key
        look = {"linewidth": 1.6, "linestyle": dashes[name], **style.DOTS}
        style.banded_line(axes, (places, y), colour, key, alpha=0.16, **look)
        if shown is not None and math.isfinite(y[-1, 0]):
            labels.append(style.Label(y[-1, 0], shown.label, colour, shown.key))
    ticks = sorted(set(numbers))
    if len(ticks) <= 8:
        axes.set_xticks(ticks)
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_xlabel(axis.field)
    if measure.is_density:
        axes.set_yscale("log")
        _density_ticks(axes.yaxis, found)
    if measure.reference is not None:
        labels.append(style.reference_line(axes, *measure.reference))
    if labels:
        axes.set_xlim(axes.get_xlim())
        axes.set_ylim(axes.get_ylim())
        style.label_ends(axes, labels)
    return Plot(figure)


def draw(
    overviews: Sequence[Overview],
    names: Sequence[str],
    metric: Metric,
    axis: NumericAxis | None,
    looks: Mapping[str, Shown],
) -> dict[str, Plot]:
    """Returns the figures that have any estimates, by the names of their elements."""
    plots = {}
    for field, measure in measures(metric).items():
        found = [getattr(overview, field) for overview in overviews]
        # If no study is shown to match dense, there is no dot.
        if any(x and math.isfinite(x.value) for x in found):
            plots[f"overview_{field}"] = (
                in_rows(measure, names, found)
                if axis is None
                else along(measure, axis, looks, found)
            )
    return plots


def _density_ticks(axis: Axis, found: Sequence[Estimate | None]) -> None:
    known = {100 * number for estimate in found if estimate for number in estimate}
    shown = {100.0, *(x for x in known if math.isfinite(x) and x > 0)}
    axis.set_ticks(style.density_ticks(shown, _AXIS))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.3g}"))
