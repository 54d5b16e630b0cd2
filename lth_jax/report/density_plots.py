"""Density plots: what each arm reaches, against the share of weights kept."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from lth_jax.analysis.comparison import Comparison
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.metric import Metric
from lth_jax.analysis.summary import Summary
from lth_jax.analysis.words import percent
from lth_jax.report import style
from lth_jax.report.palette import Shown, shown


class Series(NamedTuple):
    """One line: estimates at densities, from dense to sparse.

    Attributes:
      key: what the page's legend switches, an arm or a study.
      name, colour: of the label at its end.
      levels, densities, estimates: of its points.
    """

    key: str
    name: str
    colour: str
    levels: Sequence[int]
    densities: Sequence[float]
    estimates: Sequence[Estimate]


class DensityPlot(NamedTuple):
    """A figure, and what its hover zones say.

    Attributes:
      figure: the figure.
      hover: for every zone, a heading and then (key, name, value) for each line.
    """

    figure: Figure
    hover: dict[int, tuple[str, list[tuple[str, str, str]]]]


def draw(
    title: str,
    series: Sequence[Series],
    scale: float = 1,
    *,
    reference: float | None = None,
    from_zero: bool = False,
    text: Callable[[Estimate], str] | None = None,
) -> DensityPlot:
    """Lines with 95% bands over density.

    Args:
      title: what is on the y axis, and which way is better.
      series: the lines; the first is drawn on top.
      scale: of the values, 100 for percent.
      reference: the dense net's value, a horizontal line.
      from_zero: whether the y axis begins at 0.
      text: an estimate for the hover zones of the lines' levels; None for no zones.
    """
    figure, axes = style.panel(title)
    labels = []
    for order, line in enumerate(reversed(series), start=2):
        x = [100 * density for density in line.densities]
        y, low, high = scale * np.array(line.estimates).T
        # A single point has no band to fill: its interval is the band's edge.
        width = 6 if len(x) == 1 else 0
        band = axes.fill_between(
            x,
            low,
            high,
            where=~np.isnan(low),
            alpha=0.16,
            linewidth=width,
            color=line.colour,
        )
        (curve,) = axes.plot(
            x,
            y,
            marker="o",
            markersize=3.2,
            linewidth=2 if line is series[0] else 1.5,
            color=line.colour,
            zorder=order,
        )
        for artist, part in ((band, "band"), (curve, "line")):
            artist.set_gid(f"data-series-{line.key}-{part}")
        labels.append(style.Label(y[-1], line.name, line.colour, line.key))
    everything = [d for line in series for d in line.densities]
    style.density_axis(axes, everything)
    if from_zero:
        axes.set_ylim(bottom=0)
    if reference is not None:
        axes.axhline(
            scale * reference, color=style.FAINT, linewidth=1, linestyle=(0, (4, 3))
        )
        label = style.Label(scale * reference, "dense net", style.FAINT, "reference")
        labels.append(label)
    style.label_ends(axes, labels)
    hover = {} if text is None else _hover(series, text)
    style.hover_zones(axes, [(level, density) for level, (density, _) in hover.items()])
    return DensityPlot(
        figure,
        {
            level: (f"level {level}: {percent(density)} of the weights", rows)
            for level, (density, rows) in hover.items()
        },
    )


def _hover(
    series: Sequence[Series], text: Callable[[Estimate], str]
) -> dict[int, tuple[float, list[tuple[str, str, str]]]]:
    """By level its density, and a row for each line that has it."""
    found: dict[int, tuple[float, list[tuple[str, str, str]]]] = {}
    for line in series:
        points = zip(line.levels, line.densities, line.estimates, strict=True)
        for level, density, estimate in points:
            _, rows = found.setdefault(level, (density, []))
            rows.append((line.key, line.name, text(estimate)))
    return dict(sorted(found.items()))


def arms_against_density(
    title: str,
    summaries: Sequence[Summary],
    measure: Callable[[Summary], Estimate],
    scale: float = 1,
    *,
    from_zero: bool = False,
    text: Callable[[Estimate], str],
) -> DensityPlot:
    """A measure of every arm, all from the dense net at the left."""
    dense = next(s for s in summaries if s.level == 0)
    series = []
    for arm, looks in shown(s.arm for s in summaries).items():
        line = [dense, *(s for s in summaries if s.arm == arm and s.level > 0)]
        series.append(_series(looks, line, [measure(s) for s in line]))
    reference = measure(dense).value
    return draw(title, series, scale, reference=reference, from_zero=from_zero, text=text)


def differences_against_density(
    title: str,
    comparisons: Sequence[Comparison],
    summaries: Sequence[Summary],
    measure: Callable[[Comparison], Estimate],
    metric: Metric,
) -> DensityPlot:
    """Every arm minus the dense nets, paired by replicate."""
    found = [c for c in comparisons if c.reference == "dense"]
    series = []
    for arm, looks in shown(s.arm for s in summaries).items():
        line = [c for c in found if c.arm == arm]
        if line:
            series.append(_series(looks, line, [measure(c) for c in line]))
    return draw(title, series, metric.scale, reference=0.0, text=metric.difference)


def _series(
    arm: Shown, line: Sequence[Summary | Comparison], estimates: Sequence[Estimate]
) -> Series:
    levels, densities = [x.level for x in line], [x.density for x in line]
    return Series(arm.key, arm.label, arm.colour.figure, levels, densities, estimates)
