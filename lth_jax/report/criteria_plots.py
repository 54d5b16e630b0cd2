"""Criteria plots: each pruning criterion beside the ticket and random pruning."""

from collections.abc import Sequence

import numpy as np

from lth_jax.analysis.metric import Metric
from lth_jax.analysis.outcomes import Summary
from lth_jax.analysis.standings import RANDOM, Standing
from lth_jax.lottery.arms import reported_arm
from lth_jax.report import style
from lth_jax.report.density_plots import Series, hover
from lth_jax.report.palette import TICKET, unlisted
from lth_jax.report.style import Plot

_NAMED = (RANDOM, "random", style.RANDOM), ("ticket", "ticket", TICKET)


def small_multiples(
    standings: Sequence[Standing], summaries: Sequence[Summary], metric: Metric
) -> dict[str, Plot]:
    """Draws the metric at early stop over density, one panel per criterion.

    Panels share their axes. The criterion has a 95% band, and all others are behind it
    in grey. The dense net comes from the summaries.
    """
    dense = next(s for s in summaries if s.level == 0)
    points = {
        standing.arm: [
            (0, dense.density, dense.early_stop_metric),
            *((s.level, s.density, s.metric) for s in standing.scores),
        ]
        for standing in standings
    }
    # Densities in percent, and the metric with its interval.
    drawn = {
        arm: (
            np.array([100 * density for _, density, _ in found]),
            metric.scale * np.array([reached for *_, reached in found]),
        )
        for arm, found in points.items()
    }
    values = np.concatenate([estimates[:, 0] for _, estimates in drawn.values()])
    room = 0.06 * np.ptp(values)
    plots = {}
    for own in (standing.arm for standing in standings):
        if not reported_arm(own).is_criterion:
            continue
        figure, axes = style.panel(own, style.SMALL, style.ACCENT)
        for arm, (x, estimates) in drawn.items():
            if arm not in (own, "ticket", RANDOM):
                axes.plot(x, estimates[:, 0], color=style.OTHERS, linewidth=0.8)
        style.density_axis(axes, [density for _, density, _ in points[own]])
        axes.set_ylim(values.min() - room, values.max() + room)
        level = metric.scale * dense.early_stop_metric.value
        labels = [style.reference_line(axes, level, "dense")]
        named = [Series(unlisted(own, style.ACCENT), points[own])]
        for arm, name, colour in _NAMED:
            if arm in drawn and arm != own:
                x, estimates = drawn[arm]
                (line,) = axes.plot(x, estimates[:, 0], color=colour, linewidth=1.3)
                line.set_gid(f"data-series-{arm}-line")  # for the page's legend
                labels.append(style.Label(estimates[-1, 0], name, colour, arm))
                named.append(Series(unlisted(name, colour), points[arm]))
        on_top = {"linewidth": 2, "zorder": 5, **style.DOTS}
        style.banded_line(axes, drawn[own], style.ACCENT, alpha=0.2, **on_top)
        style.label_ends(axes, labels, size=0.75)
        axes.set_xlabel("weights kept, %")
        reached = metric.text(dense.early_stop_metric)
        plots[own] = Plot(figure, hover(axes, named, metric.text, reached))
    return plots
