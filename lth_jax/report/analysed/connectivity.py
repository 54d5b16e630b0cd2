"""Connectivity: error and loss on the line between copies of a net, or between levels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lth_jax.analysis import words
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.levels import levels_that_matter
from lth_jax.analysis.metric import with_interval
from lth_jax.analysis.verdict import Verdict
from lth_jax.analysis.words import percent
from lth_jax.report import density_plots, style
from lth_jax.report.analysed import lines
from lth_jax.report.section import Section
from lth_jax.report.style import Label, Plot
from lth_jax.store.analyses import Found

_MOST_LEVELS = 6
# Label and colour by the kind of batch statistics; nets without any have one line.
_KINDS = {
    "none": ("barrier", lines.FOUND),
    "anew": ("statistics anew", lines.FOUND),
    "interpolated": ("interpolated", lines.OTHER),
}
_QUESTIONS = {
    "copies": "Do copies stay connected?",
    "levels": "Are levels connected to the one before?",
}
_ALONG = {
    "copies": "from one copy to the other",
    "levels": "from the level before to this one",
}
_MEASURES = {"error": (100, ", %", ".2f"), "loss": (1, "", ".3g")}


def sections(found: Found, verdict: Verdict) -> list[Section]:
    """Returns sections on copies and on successive levels, if they were measured."""
    return [
        section
        for between in _QUESTIONS
        if between in found
        for section in _sections(found[between], between, verdict)
    ]


def barriers(found: Found) -> dict[str, Estimate]:
    """Error barriers between copies, by the field of an `Overview`; empty without them.

    Batch statistics are estimated anew, where a net has any.
    """
    levels = found.get("copies", {"levels": []})["levels"]
    known = {}
    for level in levels:
        measures = level["lines"].get("anew") or level["lines"].get("none") or {}
        if "error" in measures:
            field = "ticket_barrier" if level["level"] else "dense_barrier"
            known[field] = lines.estimate(measures["error"]["barrier"])
    return known


def _sections(found: Found, between: str, verdict: Verdict) -> list[Section]:
    """A section on barriers over density, then one on the lines at some levels."""
    levels, split = found["levels"], found["split"]
    prefix = "" if between == "copies" else "levels_"
    kinds = [kind for kind in _KINDS if kind in levels[0]["lines"]]
    measures = [name for name in _MEASURES if name in levels[0]["lines"][kinds[0]]]
    barriers = {
        f"{prefix}barrier_{name}": _barrier(levels, kinds, name, split)
        for name in measures
    }
    lead = _lead(found, between)
    if len(kinds) > 1:
        lead += (
            " Batch statistics are estimated anew at each point, or interpolated like the"
            " weights."
        )
    shown = [Section(_QUESTIONS[between], lead, barriers, "wide")]
    first = measures[0]
    there = [level["level"] for level in levels]
    matter = levels_that_matter(verdict, there, _MOST_LEVELS)
    chosen = [level for level in levels if level["level"] in matter]
    drawn = [{kind: _values(x, kind, first) for kind in kinds} for x in chosen]
    limits = _limits([values for own in drawn for values in own.values()])
    along = {
        f"{prefix}line_{first}_level_{level['level']:02d}": _along(
            level, own, limits, between
        )
        for level, own in zip(chosen, drawn, strict=True)
    }
    title = f"What is the {first} between {between}?"
    unit = " in %" if first == "error" else ""
    lead = f"{split.capitalize()} {first}{unit} on that line: {words.band(verdict)}."
    return [*shown, Section(title, lead, along, "small")]


def _lead(found: Found, between: str) -> str:
    """A lead that says what was interpolated, and defines the barrier."""
    line = f"the straight line between their weights ({found['points']} points)"
    if between == "copies":
        return (
            f"{found['copies']} copies of each net trained from its state at step"
            f" {found['rewind_step']:,}, on the same data in different orders. The"
            f" barrier is the maximum on {line}, minus the mean of its ends. Frankle et"
            " al. (2020) call a net stable if its barrier is below 2% error."
        )
    said = [percent(x["density"]) for x in found["levels"] if x["matches_dense"] == "yes"]
    told = f"at {', '.join(said)} of the weights" if said else "at none of these levels"
    return (
        "The tickets of a level and of the one before. The barrier is the maximum on"
        f" {line}, above the linear change from end to end. Paul et al. (2023) find that"
        " levels that match the dense net are connected. By the verdict, the ticket"
        f" matches it {told}."
    )


def _values(level: Mapping[str, Any], kind: str, name: str) -> np.ndarray:
    found = level["lines"][kind][name]["line"]
    return _MEASURES[name][0] * np.array([lines.estimate(x) for x in found])


def _limits(lines_of: Sequence[np.ndarray]) -> tuple[float, float]:
    """Limits that hold all means of lines [points, 3], and bands unless far wider."""
    means = np.concatenate([values[:, 0] for values in lines_of])
    low, high = float(means.min()), float(means.max())
    room = 1.5 * (high - low) or np.inf
    ends = np.concatenate([values.ravel() for values in lines_of])
    least = max(low - room, float(np.nanmin(ends)))
    most = min(high + room, float(np.nanmax(ends)))
    margin = 0.05 * (most - least) or 1.0
    return least - margin, most + margin


def _barrier(
    levels: Sequence[Mapping[str, Any]], kinds: Sequence[str], name: str, split: str
) -> Plot:
    scale, unit, form = _MEASURES[name]

    def text(estimate: Any) -> str:
        return with_interval(estimate, form, form, scale)

    drawn = [
        lines.series(
            *_KINDS[kind],
            [
                (x["level"], x["density"], x["lines"][kind][name]["barrier"])
                for x in levels
            ],
        )
        for kind in kinds
    ]
    title = f"Barrier of {split} {name}{unit} (lower is more connected)"
    return density_plots.draw(title, drawn, scale, from_zero=True, text=text)


def _along(
    level: Mapping[str, Any],
    lines_of: dict[str, np.ndarray],
    limits: tuple[float, float],
    between: str,
) -> Plot:
    """A plot of one level's lines, [points, 3] by the kind of batch statistics."""
    is_dense, density = level["level"] == 0, percent(level["density"])
    where = "dense net" if is_dense else f"{density} of the weights"
    figure, axes = style.panel(where, style.SMALL)
    labels = []
    for kind, values in reversed(lines_of.items()):
        label, colour = _KINDS[kind]
        shares = np.linspace(0, 1, len(values))
        style.banded_line(axes, (shares, values), colour, alpha=0.16, linewidth=1.8)
        labels.append(Label(float(values[-1, 0]), label, colour, kind))
    axes.set(xlim=(0, 1), ylim=limits, xlabel=_ALONG[between])
    axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
    if len(labels) > 1:
        style.label_ends(axes, labels, 0.75)
    return Plot(figure)
