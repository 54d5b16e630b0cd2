"""Learning plots: how fast each arm learns, one panel a level."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lth_jax.analysis.learning import LearningCurve
from lth_jax.analysis.metric import ACCURACY, Metric
from lth_jax.analysis.summary import Summary
from lth_jax.analysis.words import percent
from lth_jax.report import style
from lth_jax.report.palette import shown


def draw(
    curves: Sequence[LearningCurve],
    summaries: Sequence[Summary],
    metric: Metric,
    split: str = "test",
) -> dict[int, Figure]:
    """A metric over training with 95% bands, by level, on shared axes.

    Every panel has the dense net in grey behind its arms; a dot marks the mean early
    stop.

    Args:
      curves: those of the dense net among them.
      summaries: for the early stops.
      metric: what the curves are of.
      split: and of which; dots lie on curves of another split than test.
    """
    dense = next(curve for curve in curves if curve.level == 0)
    limits = _limits(curves, metric)
    stops = {(s.level, s.arm): s for s in summaries}
    looks = shown(s.arm for s in summaries)
    figures = {}
    for level in sorted({curve.level for curve in curves} - {0}):
        arms = [curve for curve in curves if curve.level == level]
        ticket = next((c for c in arms if c.arm == "ticket"), arms[0])
        title = f"level {level}: {percent(ticket.density)} of the weights"
        figure, axes = style.panel(title, style.SMALL)
        labels = []
        for curve in (dense, *reversed(arms)):
            is_dense = curve is dense
            arm = looks[curve.arm]
            key = "reference" if is_dense else arm.key
            colour = style.FAINT if is_dense else arm.colour.figure
            y, low, high = metric.scale * np.array(curve.estimates).T
            band = axes.fill_between(
                curve.steps, low, high, alpha=0.14, linewidth=0, color=colour
            )
            (line,) = axes.plot(curve.steps, y, color=colour, linewidth=1.4)
            stop = stops[curve.level, curve.arm]
            step, height = stop.early_stop_step.value, stop.early_stop_metric.value
            if split != "test":
                height = np.interp(step, curve.steps, y) / metric.scale
            (dot,) = axes.plot(
                step,
                metric.scale * height,
                marker="o",
                markersize=4.5,
                color=colour,
                markeredgecolor="white",
                markeredgewidth=0.6,
                zorder=5,
            )
            for artist, part in ((band, "band"), (line, "line"), (dot, "stop")):
                artist.set_gid(f"data-series-{key}-{part}")
            name = "dense net" if is_dense else arm.label
            labels.append(style.Label(float(y[-1]), name, colour, key))
        axes.set_ylim(limits)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.set_xlabel("training step")
        axes.set_ylabel(f"{split} {metric.name}{metric.axis}")
        style.label_ends(axes, labels, 0.7)
        figures[level] = figure
    return figures


def _limits(curves: Sequence[LearningCurve], metric: Metric) -> tuple[float, float]:
    """Limits with all of the better end; the worst values, of early training, are cut."""
    values = np.array([e.value for curve in curves for e in curve.estimates])
    if metric is ACCURACY:
        low, high = 100 * np.quantile(values, (0.05, 1))
        return max(0.0, float(low) - 2), float(high) + 2
    low, high = metric.scale * np.quantile(values, (0, 0.95))
    room = 0.05 * (high - low) or 1.0
    return float(low - room), float(high + room)
