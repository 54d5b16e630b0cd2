"""Criteria plots: each pruning criterion beside the ticket and random pruning."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from lth_jax.analysis.metric import Metric
from lth_jax.analysis.outcomes import Summary
from lth_jax.analysis.standings import RANDOM, Standing
from lth_jax.lottery.arms import reported_arm
from lth_jax.report import style
from lth_jax.report.palette import TICKET

_NAMED = (RANDOM, "random", style.RANDOM), ("ticket", "ticket", TICKET)


def small_multiples(
    standings: Sequence[Standing], summaries: Sequence[Summary], metric: Metric
) -> dict[str, Figure]:
    """Draws the metric at early stop over density, one panel per criterion.

    Panels share their axes. The criterion has a 95% band, and all others are behind it
    in grey. The dense net comes from the summaries.
    """
    dense = next(s for s in summaries if s.level == 0)
    lines = {}
    for standing in standings:  # densities in percent, and the metric with its interval
        densities = [dense.density, *(s.density for s in standing.scores)]
        reached = [dense.early_stop_metric, *(s.metric for s in standing.scores)]
        estimates = metric.scale * np.array(reached)
        lines[standing.arm] = 100 * np.array(densities), estimates
    values = np.concatenate([estimates[:, 0] for _, estimates in lines.values()])
    room = 0.06 * np.ptp(values)
    figures = {}
    for standing in standings:
        if not reported_arm(standing.arm).is_criterion:
            continue
        figure, axes = style.panel(standing.arm, style.SMALL, style.ACCENT)
        for arm, (x, estimates) in lines.items():
            if arm not in (standing.arm, "ticket", RANDOM):
                axes.plot(x, estimates[:, 0], color=style.OTHERS, linewidth=0.8)
        style.density_axis(axes, [dense.density, *(s.density for s in standing.scores)])
        axes.set_ylim(values.min() - room, values.max() + room)
        level = metric.scale * dense.early_stop_metric.value
        labels = [style.reference_line(axes, level, "dense")]
        for arm, name, colour in _NAMED:
            if arm in lines and arm != standing.arm:
                x, estimates = lines[arm]
                (line,) = axes.plot(x, estimates[:, 0], color=colour, linewidth=1.3)
                line.set_gid(f"data-series-{arm}-line")  # for the page's legend
                labels.append(style.Label(estimates[-1, 0], name, colour, arm))
        on_top = {"linewidth": 2, "zorder": 5, **style.DOTS}
        style.banded_line(axes, lines[standing.arm], style.ACCENT, alpha=0.2, **on_top)
        style.label_ends(axes, labels, size=0.75)
        axes.set_xlabel("weights kept, %")
        figures[standing.arm] = figure
    return figures
