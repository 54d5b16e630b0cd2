"""Transfer: another study's masks and tickets, trained beside the own ticket."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from lth_jax.analysis.metric import ACCURACY, LOSS, Metric
from lth_jax.analysis.verdict import Verdict
from lth_jax.report import density_plots, style
from lth_jax.report.analysed import lines
from lth_jax.report.density_plots import Series
from lth_jax.report.section import Section
from lth_jax.report.style import Plot
from lth_jax.store.analyses import Found

_MOST_TOLD = 3  # fields or layers in the lead
_RANDOM = ("random masks", lines.CHANCE, "random")
# A panel's title, its line's label, and what is trained, by kind.
_KINDS = {
    "masks": ("Masks", "its masks", "its masks, on this study's weights"),
    "signs": ("Signs", "its signs", "its masks and signs, on this study's magnitudes"),
    "tickets": ("Tickets", "its tickets", "its masks and weights"),
}


def sections(found: Found, _: Verdict) -> list[Section]:
    """Returns sections on the metric of each kind, and its difference to the ticket."""
    kinds = found["kinds"]
    metric = ACCURACY if found["metric"] == ACCURACY.name else LOSS
    reached = {f"transfer_{kind}": _reached(found, kind, metric) for kind in kinds}
    differences = {
        f"transfer_{kind}_difference": _difference(found, kind, metric) for kind in kinds
    }
    meant = " ".join("{0}: {2}.".format(*_KINDS[kind]) for kind in kinds)
    lead = (
        f"Masks and weights from {_source(found)}, trained on this study's data and"
        f" budget. {meant} Random masks keep as many of this study's weights in each"
        f" layer.{_alignment(found['aligned'])}{_misfits(found['misfits'])}"
    )
    minus = (
        f"Test {metric.name} at early stop minus that of the same replicate's own ticket"
        f"{metric.axis and ', in points'}."
    )
    return [
        Section("Do others' tickets train here?", lead, reached, "wide"),
        Section("How far from the own ticket?", minus, differences, "small"),
    ]


def _source(found: Found) -> str:
    if found["source"] is None:
        return "the next replicate"
    differs = list(found["differs"].items())
    told = [f"{name} {theirs}, here {own}" for name, (theirs, own) in differs]
    more = len(told) - _MOST_TOLD
    text = "; ".join(told[:_MOST_TOLD]) + (f"; {more} more" if more > 0 else "")
    return f"the study {PurePath(found['source']).name} ({text or 'of the same config'})"


def _alignment(matched: Mapping[str, Any] | None) -> str:
    """A sentence on what "aligned" means, or "" if nothing was aligned."""
    if matched is None:
        return ""
    before, after = (lines.estimate(matched[x]).value for x in ("before", "after"))
    return (
        " Aligned: the same, after its units are matched to this study's by the dense"
        " nets' weights. Matching raises the cosine of the weights from"
        f" {before:.2f} to {after:.2f}."
    )


def _misfits(misfits: Mapping[str, str]) -> str:
    """A sentence on the layers of the source that do not fit this study's net."""
    if not misfits:
        return ""
    named = list(misfits)
    more = len(named) - _MOST_TOLD
    text = ", ".join(named[:_MOST_TOLD]) + (f" and {more} more" if more > 0 else "")
    return f" Layers that do not fit stay dense, with this study's weights: {text}."


def _line(
    levels: Sequence[Mapping[str, Any]], looks: tuple[str, str, str], measure: str
) -> Series:
    label, colour, what = looks
    own = [(x["level"], x["arms"][what]) for x in levels]
    points = [(level, arm["density"], arm[measure]) for level, arm in own]
    return lines.series(label, colour, points)


def _looks(found: Found, kind: str) -> list[tuple[str, str, str]]:
    """The looks of a kind's line, and of its line after alignment, if there is one."""
    own = [(_KINDS[kind][1], lines.OTHER, kind)]
    if found["aligned"] is not None:
        own.append(("aligned", lines.MORE, f"{kind}_aligned"))
    return own


def _reached(found: Found, kind: str, metric: Metric) -> Plot:
    shown = [("own ticket", lines.FOUND, "ticket"), *_looks(found, kind), _RANDOM]
    drawn = [_line(found["levels"], looks, "reached") for looks in shown]
    return density_plots.draw(
        f"{_KINDS[kind][0]}: test {metric.name} at early stop{metric.axis}",
        drawn,
        metric.scale,
        reference=lines.estimate(found["dense"]).value,
        text=metric.text,
    )


def _difference(found: Found, kind: str, metric: Metric) -> Plot:
    shown = [*_looks(found, kind), _RANDOM]
    drawn = [_line(found["levels"], looks, "minus_ticket") for looks in shown]
    return density_plots.draw(
        _KINDS[kind][0],
        drawn,
        metric.scale,
        reference=0.0,
        reference_name="own ticket",
        text=metric.difference,
        size=style.SMALL,
    )
