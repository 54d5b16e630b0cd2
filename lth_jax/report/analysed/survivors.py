"""Survivors: which initial weights survive, and how connections spread over units."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lth_jax.analysis.learning import spread
from lth_jax.analysis.metric import with_ends
from lth_jax.analysis.words import percent
from lth_jax.report import density_plots, style
from lth_jax.report.analysed import lines
from lth_jax.report.anatomy_plots import layer_name
from lth_jax.report.palette import of_layers
from lth_jax.report.section import Section, plain
from lth_jax.report.style import Plot
from lth_jax.store.analyses import Found

_MOST_LEVELS = 2  # of distributions
_WAYS = {"incoming": "a unit reads", "outgoing": "read one input of the layer"}
_SHARES = ("outgoing", "inputs", lines.OTHER), ("incoming", "units", lines.FOUND)
_Level = Mapping[str, Any]


def sections(found: Found, layers: Sequence[str]) -> list[Section]:
    """Returns sections on survivors' inits and units' connections in these layers."""
    pruned = [level for level in found["levels"] if level["level"] > 0]
    if not pruned:
        return []
    sparse = spread(pruned, _MOST_LEVELS)
    kept = [name for name in layers if pruned[0]["survivors"][name]["connections"]]
    distributions = {
        plain(f"inits_level_{level['level']:02d}_{name}"): _inits(found, level, name)
        for name in layers
        for level in sparse
    }
    uneven = {
        f"connections_{way}": plot
        for way in _WAYS
        if (plot := _unevenness(pruned, kept, way)) is not None
    }
    shares = {
        plain(f"connections_level_{level['level']:02d}_{name}"): _shares(level, name)
        for name in kept
        for level in sparse
    }
    return [
        Section(
            "Which inits survive?",
            "The original inits of some layers: grey for all weights, blue for those that"
            " a level keeps. The areas are equal.",
            distributions,
            "small",
        ),
        Section(
            "Are connections spread evenly over units?",
            "How much the number of connections kept differs between units: its standard"
            " deviation, divided by that of as many weights kept at random. 1 is chance;"
            " above 1, some units keep far more than others.",
            uneven,
            "wide",
        ),
        Section(
            "How many connections do units keep?",
            "The share of its connections that each unit of a layer keeps, and each of"
            " the layer's inputs, in %. Both are sorted from the fewest to the most. A"
            " flat line is an even spread.",
            shares,
            "small",
        ),
    ]


def _inits(found: Found, level: _Level, name: str) -> Plot:
    every, own = found["inits"][name], level["survivors"][name]["inits"]["density"]
    edges = np.linspace(-every["reach"], every["reach"], len(every["density"]) + 1)
    figure, axes = _panel(level, name, "original init")
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    axes.stairs(every["density"], edges, fill=True, color=style.GRID)
    axes.stairs(every["density"], edges, color=style.FAINT, linewidth=1)
    if own is not None:
        axes.stairs(own, edges, color=lines.FOUND, linewidth=1.5)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    return Plot(figure)


def _shares(level: _Level, name: str) -> Plot:
    figure, axes = _panel(level, name, "from the fewest to the most, %")
    found = level["survivors"][name]["connections"]
    labels = []
    for way, label, colour in _SHARES:
        shares = 100 * np.array(found[way]["shares"])
        ranks = np.linspace(0, 100, len(shares))
        axes.plot(ranks, shares, color=colour, linewidth=1.5)
        labels.append(style.Label(shares[-1], label, colour, label))
    axes.set_ylim(0, None)
    style.label_ends(axes, labels, 0.75)
    return Plot(figure)


def _panel(level: _Level, name: str, what: str) -> tuple[Figure, Axes]:
    title = f"{layer_name(name)}, {percent(level['density'])} of the weights"
    figure, axes = style.panel(title, style.SMALL)
    axes.set_xlabel(what)
    return figure, axes


def _unevenness(levels: Sequence[_Level], names: Sequence[str], way: str) -> Plot | None:
    """A plot of the spread over density, by layer; None if no layer has values."""
    drawn = []
    colours = of_layers(list(levels[0]["survivors"]))
    for name in names:
        own = [(x, x["survivors"][name]["connections"][way]) for x in levels]
        points = [
            (level["level"], level["density"], found["unevenness"])
            for level, found in own
            if found["unevenness"]["value"] is not None
        ]
        if points:
            drawn.append(lines.series(layer_name(name), colours[name], points))
    if not drawn:
        return None
    return density_plots.draw(
        f"Spread of connections that {_WAYS[way]}",
        drawn,
        reference=1.0,
        reference_name="chance",
        text=lambda estimate: with_ends(estimate, "{:.2f}".format),
    )
