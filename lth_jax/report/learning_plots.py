"""Learning plots: how fast each arm learns, one panel per level."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lth_jax.analysis.learning import LearningCurve
from lth_jax.analysis.metric import ACCURACY, Metric
from lth_jax.analysis.outcomes import Summary
from lth_jax.analysis.words import percent
from lth_jax.report import style
from lth_jax.report.palette import shown
from lth_jax.report.style import Label

_STOP: dict[str, Any] = {"marker": "o", "markersize": 4.5}
_STOP |= {"markeredgecolor": "white", "markeredgewidth": 0.6}


def draw(
    curves: Sequence[LearningCurve],
    summaries: Sequence[Summary],
    metric: Metric,
    split: str = "test",
) -> dict[int, Figure]:
    """Draws a split's metric over training with 95% bands, by level, on shared axes.

    Every panel has the dense net in grey behind its arms. A dot marks the mean early
    stop, which comes from the summaries. If the split is not test, the dot lies on the
    curve.
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
        figures[level], axes = style.panel(title, style.SMALL)
        labels = []
        for curve in (dense, *reversed(arms)):
            name, colour, key = "dense net", style.FAINT, "reference"
            if curve is not dense:
                key, name, (colour, _, _) = looks[curve.arm]
            estimates = metric.scale * np.array(curve.estimates)
            style.banded_line(
                axes, (curve.steps, estimates), colour, key, alpha=0.14, linewidth=1.4
            )
            stop = stops[curve.level, curve.arm]
            step = stop.early_stop_step.value
            height = metric.scale * stop.early_stop_metric.value
            if split != "test":
                height = np.interp(step, curve.steps, estimates[:, 0])
            (dot,) = axes.plot(step, height, color=colour, zorder=5, **_STOP)
            dot.set_gid(f"data-series-{key}-stop")
            labels.append(Label(float(estimates[-1, 0]), name, colour, key))
        axes.set(xlim=(0, None), ylim=limits, xlabel="training step")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.set_ylabel(f"{split} {metric.name}{metric.axis}")
        style.label_ends(axes, labels, 0.7)
    return figures


def _limits(curves: Sequence[LearningCurve], metric: Metric) -> tuple[float, float]:
    """Limits that hold the best values, and cut off the worst ones of early training."""
    values = np.array([e.value for curve in curves for e in curve.estimates])
    if metric.name == ACCURACY.name:
        low, high = 100 * np.quantile(values, (0.05, 1))
        return max(0.0, float(low) - 2), float(high) + 2
    low, high = metric.scale * np.quantile(values, (0, 0.95))
    room = 0.05 * (high - low) or 1.0
    return float(low - room), float(high + room)
