"""Movement: how far weights move, and in which direction."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.learning import spread
from lth_jax.analysis.metric import with_ends
from lth_jax.analysis.overlap import NET
from lth_jax.analysis.verdict import Verdict
from lth_jax.report import density_plots, palette, style
from lth_jax.report.analysed import lines, survivors
from lth_jax.report.anatomy_plots import layer_name
from lth_jax.report.section import Section, plain
from lth_jax.report.style import Plot
from lth_jax.store.analyses import Found

_MOST_LAYERS = 3
_MINUS = "\N{MINUS SIGN}"
_SHORT = {"distance": "distance", "flips": "sign changes, %"}
# The title of a measure, its scale, and how a value is shown.
_MEASURES = {
    "distance": (f"Distance, |end {_MINUS} start|", 1, "{:.3g}"),
    "growth": (f"Growth, |end| {_MINUS} |start| (above 0: away from 0)", 1, "{:+.3g}"),
    "flips": ("Weights that change their sign, %", 100, "{:.1f}"),
}
_Line = tuple[str, str, str]  # a label, a colour, and the weights' name in the file


def sections(found: Found, _: Verdict) -> list[Section]:
    """Returns sections on survivors and on another arm, for the net and by layer."""
    levels, against = found["levels"], found["against"]
    parts: list[_Line] = [
        ("survive", lines.FOUND, "survive"),
        ("pruned next", lines.CHANCE, "pruned"),
    ]
    arms: list[_Line] = [("ticket", lines.FOUND, "ticket")]
    if against:
        other = palette.shown([against])[against]
        arms.append((other.label, other.colour.figure, against))
    fates = {
        f"movement_fate_{name}": _plot(levels, parts, NET, name) for name in _MEASURES
    }
    compared = {
        f"movement_arm_{name}": _plot(levels, arms, NET, name) for name in _MEASURES
    }
    lead = (
        "The movement from a level's start to its end: the mean over the ticket's weights"
        " that survive the next pruning, and over those that it removes. Magnitude"
        " pruning selects weights that grew, which makes part of the difference."
    )
    shown = [
        Section("Do survivors move differently?", lead, _drawn(fates), "wide"),
        Section(
            "Does a ticket move differently from others?",
            "The same measures, over all weights that the mask keeps: the ticket"
            + (f" against {other.label}." if against else "."),
            _drawn(compared),
            "wide",
        ),
    ]
    layers = [name for name in levels[0]["moved"]["ticket"] if name != NET]
    by_layer = {
        plain(f"movement_{measure}_{name}"): _plot(
            levels, arms, name, measure, f"{layer_name(name)}: {short}"
        )
        for measure, short in _SHORT.items()
        for name in spread(layers, _MOST_LAYERS)
    }
    lead = "The same by layer, over all weights that the mask keeps."
    shown.append(
        Section("In which layers do weights move?", lead, _drawn(by_layer), "small")
    )
    shown += survivors.sections(found, spread(layers, _MOST_LAYERS))
    return [section for section in shown if section.plots]


def _drawn(plots: Mapping[str, Plot | None]) -> dict[str, Plot]:
    return {name: plot for name, plot in plots.items() if plot is not None}


def _plot(
    levels: Sequence[Mapping[str, Any]],
    shown: Sequence[_Line],
    layer: str,
    measure: str,
    title: str | None = None,
) -> Plot | None:
    """A plot of a measure over density: wide for the net, small for a layer."""
    name, scale, form = _MEASURES[measure]
    drawn = [
        line
        for label, colour, what in shown
        if (
            line := lines.series(
                label,
                colour,
                [
                    (x["level"], x["density"], x["moved"][what][layer][measure])
                    for x in levels
                    if layer in x["moved"].get(what, {})
                ],
            )
        ).points
    ]
    if not drawn:
        return None
    show = functools.partial(_show, form=form, scale=scale)
    size = style.WIDE if title is None else style.SMALL
    is_signed = measure == "growth"
    return density_plots.draw(
        title or name,
        drawn,
        scale,
        reference=0.0 if is_signed else None,
        reference_name="no growth",
        from_zero=not is_signed,
        text=show,
        size=size,
    )


def _show(estimate: Estimate, form: str, scale: float) -> str:
    return with_ends(estimate, lambda value: form.format(scale * value))
