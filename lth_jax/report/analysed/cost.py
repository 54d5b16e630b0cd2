"""Cost: the training FLOPs to find a ticket, and those that it saves."""

import numpy as np
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullLocator

from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.metric import ACCURACY
from lth_jax.analysis.verdict import Verdict
from lth_jax.report import density_plots, overview_plots, style
from lth_jax.report.analysed import lines
from lth_jax.report.overview_plots import Measure
from lth_jax.report.section import Section
from lth_jax.report.style import Plot
from lth_jax.store.analyses import Found

# Labels, colours, and how weights are counted.
_COUNTED = (
    ("zeros left out", lines.FOUND, "sparse"),
    ("all weights", lines.CHANCE, "dense"),
)
_TITLES = {
    "use": "To train a ticket, in trainings of the dense net",
    "find": "To find it, in trainings of the dense net",
    "pays_after": "Number of uses that repay the cost of finding it",
}


def sections(found: Found, _: Verdict) -> list[Section]:
    """Returns sections on the cost of each level, and on what it reaches at that cost."""
    plots = {}
    for name, title in _TITLES.items():
        drawn = [
            lines.series(label, colour, points)
            for label, colour, kind in _COUNTED
            if (
                points := [
                    (x["level"], x["density"], x[kind][name])
                    for x in found["levels"]
                    if x[kind][name]["value"] is not None
                ]
            )
        ]
        if drawn:
            plots[f"cost_{name}"] = density_plots.draw(
                title, drawn, from_zero=True, text=_text
            )
    plots["cost_reached"] = _reached(found)
    until = "to its end" if found["until"] == "end" else "to its early stop"
    dense = EngFormatter("FLOPs", places=1)(found["dense_flops"])
    lead = (
        f"FLOPs to train each net {until}, if all weights are multiplied, and if zeros"
        " are left out. A multiply-add of a forward pass counts as six FLOPs. The dense"
        f" net takes {dense}. Finding a ticket costs all training before it."
    )
    return [Section("What does a ticket cost?", lead, plots, "wide"), *_criteria(found)]


def _criteria(found: Found) -> list[Section]:
    """A section on each criterion's smallest matching ticket, the cheapest at the top."""
    rows = found["criteria"]
    if all(row["cost"] is None for row in rows):
        return []
    names = [row["criterion"] for row in rows]
    shown = {
        "density": Measure("Smallest matching, weights kept, %", 100, None, True),
        "cost": Measure("To find and use it, in trainings of the dense net", 1, None),
    }
    plots = {
        f"smallest_{name}": overview_plots.in_rows(
            measure,
            names,
            [None if row[name] is None else lines.estimate(row[name]) for row in rows],
        )
        for name, measure in shown.items()
    }
    lead = (
        "The sparsest ticket of each criterion that is shown to match the dense net, and"
        " the cost to find it and use it once, with zeros left out. If a row has no dot,"
        " no ticket matches."
    )
    return [Section("Which criterion is cheapest?", lead, plots, "wide")]


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:.2f}"


def _reached(found: Found) -> Plot:
    """A plot of the metric against the cost, with a point for each level."""
    is_accuracy = found["metric"] == ACCURACY.name
    unit, scale = (", %", 100) if is_accuracy else ("", 1)
    figure, axes = style.panel(f"Test {found['metric']}{unit}, against its cost")
    levels = found["levels"]
    reached = scale * np.array([lines.estimate(level["reached"]) for level in levels])
    use, find = (
        np.array([level["sparse"][name]["value"] for level in levels])
        for name in ("use", "find")
    )
    for label, colour, x, side in (
        ("to use", lines.FOUND, use, "left"),
        ("to find and use", lines.OTHER, find + use, "right"),
    ):
        on_line = {"alpha": 0.16, "linewidth": 1.8, **style.DOTS}
        style.banded_line(axes, (x, reached), colour, **on_line)
        axes.annotate(
            label,
            (x[-1], reached[-1, 0]),
            xytext=(0, -14),
            textcoords="offset points",
            ha=side,
            color=colour,
            fontsize=9,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("trainings of the dense net, zeros left out (log scale)")
    return Plot(figure)
