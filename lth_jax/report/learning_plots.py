"""Learning plots: how fast each arm learns, one panel a level."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lth_jax.analysis.learning import LearningCurve
from lth_jax.analysis.summary import Summary
from lth_jax.analysis.words import percent
from lth_jax.report import style
from lth_jax.report.palette import shown


def draw(
    curves: Sequence[LearningCurve], summaries: Sequence[Summary]
) -> dict[int, Figure]:
    """Test accuracy over training with 95% bands, by level, on shared axes.

    Every panel has the dense net in grey behind its arms; a dot marks the mean early
    stop.

    Args:
      curves: of test accuracy, those of the dense net among them.
      summaries: for the early stops.
    """
    dense = next(curve for curve in curves if curve.level == 0)
    values = 100 * np.array([e.value for curve in curves for e in curve.estimates])
    bottom = max(0.0, float(np.quantile(values, 0.05)) - 2)
    limits = bottom, float(values.max()) + 2
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
            y, low, high = 100 * np.array(curve.estimates).T
            band = axes.fill_between(
                curve.steps, low, high, alpha=0.14, linewidth=0, color=colour
            )
            (line,) = axes.plot(curve.steps, y, color=colour, linewidth=1.4)
            stop = stops[curve.level, curve.arm]
            (dot,) = axes.plot(
                stop.early_stop_step.value,
                100 * stop.early_stop_accuracy.value,
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
        axes.set_ylabel("test accuracy, %")
        style.label_ends(axes, labels, 0.7)
        figures[level] = figure
    return figures
