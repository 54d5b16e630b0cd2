"""Density plots: what each arm reaches, against the density of its net."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from lth_jax.analysis.comparison import Comparison
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.metric import Metric
from lth_jax.analysis.outcomes import Summary
from lth_jax.analysis.words import percent
from lth_jax.report import style
from lth_jax.report.palette import Shown, shown
from lth_jax.report.style import Hover, Plot


class Series(NamedTuple):
    """One line of a plot."""

    looks: Shown
    # Level, density and estimate of each point, from dense to sparse.
    points: list[tuple[int, float, Estimate]]


def series(looks: Shown, found: Iterable[Summary | Comparison], measure: str) -> Series:
    """Returns the line of a measure, which is the name of a field of estimates."""
    return Series(looks, [(x.level, x.density, getattr(x, measure)) for x in found])


def draw(
    title: str,
    lines: Sequence[Series],
    scale: float = 1,
    *,
    reference: float | None = None,
    dense: str | None = None,
    reference_name: str = "dense net",
    from_zero: bool = False,
    text: Callable[[Estimate], str] | None = None,
    size: tuple[float, float] = style.WIDE,
) -> Plot:
    """Draws lines with 95% bands over density.

    Args:
      title: the quantity on the y axis, and which way is better.
      lines: the lines; the first is drawn on top.
      scale: a factor for all values, 100 for percent.
      reference: a value for a horizontal line, such as the dense net's, before scaling.
      dense: the dense net's value as text, for the hover zones.
      reference_name: the label of the horizontal line.
      from_zero: whether the y axis begins at 0.
      text: writes an estimate for the hover zones; None for no zones.
      size: width and height of the figure, in inches.
    """
    figure, axes = style.panel(title, size)
    labels = []
    dashes = style.told_apart(
        [[(p, estimate.value) for _, p, estimate in x.points] for x in reversed(lines)]
    )
    for order, line in enumerate(reversed(lines), start=2):
        looks, colour = line.looks, line.looks.colour.figure
        x = [100 * density for _, density, _ in line.points]
        estimates = scale * np.array([estimate for *_, estimate in line.points])
        # A single point has no band to fill: its interval is the band's edge.
        edge, width = 6 if len(x) == 1 else 0, 2 if line is lines[0] else 1.5
        on_line = {"linewidth": width, "zorder": order, **style.DOTS}
        on_line["linestyle"] = dashes[order - 2]
        style.banded_line(
            axes, (x, estimates), colour, looks.key, alpha=0.16, edge=edge, **on_line
        )
        labels.append(style.Label(estimates[-1, 0], looks.label, colour, looks.key))
    style.density_axis(axes, [density for line in lines for _, density, _ in line.points])
    found = np.array([estimate for line in lines for *_, estimate in line.points])
    limits = _limits(scale * found, None if reference is None else scale * reference)
    low, high = limits
    if from_zero:  # wide bands must not squeeze the values against the bottom
        most = scale * float(found[:, 0].max())
        low, high = 0, max(1.05 * most, min(high, 3 * most)) or high
    axes.set_ylim(low, high)
    if high >= 1000:  # steps
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if reference is not None:
        labels.append(style.reference_line(axes, scale * reference, reference_name))
    if size == style.SMALL:
        axes.set_xlabel("weights kept, %")
    style.label_ends(axes, labels, 0.9 if size == style.WIDE else 0.75)
    if text is None:
        return Plot(figure, {})
    return Plot(figure, hover(axes, lines, text, dense))


def _limits(estimates: np.ndarray, reference: float | None) -> tuple[float, float]:
    """Limits that hold all values, and all bands except those far wider than most.

    With two replicates, chance makes some bands so wide that they would hide the rest.
    """
    known = [] if reference is None else [reference]
    values = np.append(estimates[:, 0], known)
    low, high = float(values.min()), float(values.max())
    banded = estimates[np.isfinite(estimates).all(1)]
    if len(banded):
        sides = np.abs(banded[:, 1:] - banded[:, :1]).max(1)
        room = max(high - low, float(np.median(sides)))
        low = min(low, max(low - room, float(banded[:, 1].min())))
        high = max(high, min(high + room, float(banded[:, 2].max())))
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def hover(
    axes: Axes,
    lines: Sequence[Series],
    text: Callable[[Estimate], str],
    dense: str | None,
) -> Hover:
    """Draws a hover zone at each level; returns its heading and a row for each line.

    The limits of the axes must be final. The last row is the dense net, except at level
    0, where the lines begin with it.
    """
    densities: dict[int, float] = {}
    rows: dict[int, list[tuple[str, str, str]]] = {}
    for looks, points in lines:
        for level, density, estimate in points:
            densities.setdefault(level, density)
            rows.setdefault(level, []).append((looks.key, looks.label, text(estimate)))
    if dense is not None:
        for level in rows.keys() - {0}:
            rows[level].append(("reference", "dense net", dense))
    levels = sorted(densities.items())
    style.hover_zones(axes, levels)
    return {
        level: (f"level {level}: {percent(density)} of the weights", rows[level])
        for level, density in levels
    }


def arms_against_density(
    title: str,
    summaries: Sequence[Summary],
    measure: str,
    scale: float = 1,
    *,
    from_zero: bool = False,
    text: Callable[[Estimate], str],
) -> Plot:
    """Draws a measure of every arm over density; `measure` is a field of summaries.

    Every line starts from the dense net at the left.
    """
    dense = next(s for s in summaries if s.level == 0)
    lines = [
        series(looks, [s for s in summaries if s is dense or s.arm == arm], measure)
        for arm, looks in shown(s.arm for s in summaries).items()
    ]
    found = getattr(dense, measure)
    return draw(
        title,
        lines,
        scale,
        reference=found.value,
        dense=text(found),
        from_zero=from_zero,
        text=text,
    )


def small_multiples(
    names: Sequence[str], of_studies: Sequence[Sequence[Summary]], metric: Metric
) -> dict[str, Plot]:
    """Draws the ticket's and the fresh init's metric at early stop, a panel per study.

    All panels have the same axes.
    """
    everything = [
        s.early_stop_metric
        for study in of_studies
        for s in study
        if s.arm in ("ticket", "reinit")
    ]
    limits = _limits(metric.scale * np.array(everything), None)
    densities = [s.density for study in of_studies for s in study]
    plots = {}
    for i, (name, summaries) in enumerate(zip(names, of_studies, strict=True)):
        figure, axes = style.panel(name, style.SMALL)
        dense = next(s for s in summaries if s.level == 0)
        lines = []
        for arm, looks in shown(["reinit", "ticket"]).items():
            found = [s for s in summaries if s is dense or s.arm == arm]
            if len(found) > 1 or arm == "ticket":
                x = [100 * s.density for s in found]
                y = metric.scale * np.array([s.early_stop_metric for s in found])
                on_line = {"linewidth": 1.5, **style.DOTS}
                colour = looks.colour.figure
                style.banded_line(axes, (x, y), colour, looks.key, alpha=0.16, **on_line)
                lines.append(series(looks, found, "early_stop_metric"))
        style.density_axis(axes, densities)
        axes.set_ylim(*limits)
        level = dense.early_stop_metric
        style.reference_line(axes, metric.scale * level.value, "dense")
        axes.set_xlabel("weights kept, %")
        on_hover = hover(axes, lines[::-1], metric.text, metric.text(level))
        plots[f"study_{i:02d}"] = Plot(figure, on_hover)
    return plots


def differences_against_density(
    title: str,
    comparisons: Sequence[Comparison],
    summaries: Sequence[Summary],
    measure: str,
    metric: Metric,
) -> Plot:
    """Draws every arm minus the dense net, paired by replicate.

    `measure` is a field of comparisons.
    """
    found = [c for c in comparisons if c.reference == "dense"]
    lines = [
        series(looks, mine, measure)
        for arm, looks in shown(s.arm for s in summaries).items()
        if (mine := [c for c in found if c.arm == arm])
    ]
    dense = getattr(summaries[0], measure.replace("difference", "metric"))
    return draw(
        title,
        lines,
        metric.scale,
        reference=0.0,
        dense=metric.text(dense),
        text=metric.difference,
    )
