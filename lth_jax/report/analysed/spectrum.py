"""Spectrum: eigenvalues of the Hessian of the training loss."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.levels import levels_that_matter
from lth_jax.analysis.metric import with_interval
from lth_jax.analysis.verdict import Verdict
from lth_jax.analysis.words import percent
from lth_jax.report import density_plots, style
from lth_jax.report.analysed import lines
from lth_jax.report.density_plots import Series
from lth_jax.report.section import Section
from lth_jax.report.style import Plot
from lth_jax.store.analyses import Found

_MOST_LEVELS = 6
_MOST_LINES = 3
_FLOOR = 1e-6  # share of a density's maximum below which nothing is drawn
_DIRECTIONS = (
    ("pruned next", lines.FOUND, "pruned"),
    ("at random", lines.OTHER, "random"),
)
_COLOURS = (lines.FOUND, lines.OTHER, lines.CHANCE)


def sections(found: Found, verdict: Verdict) -> list[Section]:
    """Returns sections on the largest eigenvalues over density, and on whole spectra."""
    levels = found["levels"]
    number = min(_MOST_LINES, *(len(level["top"]) for level in levels))
    largest = [
        lines.series(
            "largest" if i == 0 else f"number {i + 1}",
            _COLOURS[i],
            [(x["level"], x["density"], x["top"][i]) for x in levels],
        )
        for i in range(number)
    ]
    mean = lines.series(
        "mean", lines.FOUND, [(x["level"], x["density"], x["mean"]) for x in levels]
    )
    lead = (
        "Eigenvalues of the Hessian of the training loss at the end of each level, over"
        " the weights that are kept. Larger eigenvalues mean a sharper minimum."
    )
    plots = {
        "largest_eigenvalues": density_plots.draw(
            "Largest eigenvalues", largest, from_zero=True, text=_text
        ),
        "mean_eigenvalue": density_plots.draw(
            "Mean of all eigenvalues", [mean], text=_text
        ),
    }
    there = [level["level"] for level in levels]
    chosen = levels_that_matter(verdict, there, _MOST_LEVELS)
    spectra = {
        f"spectrum_level_{level['level']:02d}": _spectrum(level)
        for level in levels
        if level["level"] in chosen
    }
    shares = (
        "The density of all eigenvalues, on a logarithmic scale, as a mean over"
        f" replicates. Each is estimated from {found['probes']} random directions and"
        " smoothed by 0.5% of the range."
    )
    return [
        Section("How sharp is the minimum?", lead, plots, "wide"),
        *_along(levels),
        Section("How are its eigenvalues spread?", shares, spectra, "small"),
    ]


def _along(levels: Sequence[Mapping[str, Any]]) -> list[Section]:
    """A section on the loss in the direction of pruning, for levels that have a next."""
    shown = [level for level in levels if level["along"] is not None]
    if not shown:
        return []

    def drawn(measure: str) -> list[Series]:
        return [
            lines.series(
                label,
                colour,
                [(x["level"], x["density"], x["along"][what][measure]) for x in shown],
            )
            for label, colour, what in _DIRECTIONS
        ]

    mean = [(x["level"], x["density"], x["mean"]) for x in shown]
    every = lines.series("all weights", lines.CHANCE, mean)
    lead = (
        "The direction from a level's final weights to those that the next level keeps,"
        " and the same if as many weights of each layer are pruned at random. The"
        " training loss's curvature is compared with its mean over all directions."
    )
    plots = {
        "pruned_curvature": density_plots.draw(
            "Curvature along what is pruned", [*drawn("curvature"), every], text=_text
        ),
        "pruned_rise": density_plots.draw(
            "Loss added by pruning, before training",
            drawn("rise"),
            reference=0.0,
            reference_name="none",
            text=_text,
        ),
    }
    return [Section("Is the loss flat where weights are pruned?", lead, plots, "wide")]


def _text(estimate: Estimate) -> str:
    return with_interval(estimate, ".3g", ".2g")


def _spectrum(level: Mapping[str, Any]) -> Plot:
    is_dense, density = level["level"] == 0, percent(level["density"])
    figure, axes = style.panel(
        "dense net" if is_dense else f"{density} of the weights", style.SMALL
    )
    grid, values = np.array(level["grid"]), np.array(level["spectrum"])
    least = _FLOOR * values.max()
    axes.fill_between(
        grid, least, np.maximum(values, least), color=lines.FOUND, alpha=0.3, linewidth=0
    )
    axes.plot(grid, np.maximum(values, least), color=lines.FOUND, linewidth=1)
    axes.set_yscale("log")
    axes.set(ylim=(least, None), xlim=(grid[0], grid[-1]), xlabel="eigenvalue")
    return Plot(figure)
