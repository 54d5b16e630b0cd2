"""Swamp: the mean of copies' weights, beside one copy and the study's own ticket."""

from collections.abc import Sequence

from lth_jax.analysis.metric import ACCURACY, LOSS
from lth_jax.analysis.verdict import Verdict
from lth_jax.report import density_plots
from lth_jax.report.analysed import lines
from lth_jax.report.density_plots import Series
from lth_jax.report.section import Section
from lth_jax.store.analyses import Found

_Line = tuple[str, str, str]  # a label, a colour, and the line's name in the file


def sections(found: Found, _: Verdict) -> list[Section]:
    """Returns a section on the mean's metric over density, beside the others'."""
    metric = ACCURACY if found["metric"] == ACCURACY.name else LOSS
    reached = (
        ("mean of copies", lines.OTHER, "mean"),
        ("one copy", lines.CHANCE, "copy"),
        ("own ticket", lines.FOUND, "ticket"),
    )
    minus = (
        ("one copy", lines.CHANCE, "mean_minus_copy"),
        ("own ticket", lines.FOUND, "mean_minus_ticket"),
    )
    lead = (
        f"{found['copies']} copies of each ticket differ only in the order of their data."
        " The mean of their weights is measured, and pruned for the next level (SWAMP)."
        " If the mean is worse than its copies, they are not connected. The copies take"
        f" {found['copies']} times the training of the study's own tickets."
    )
    plots = {
        "swamp_reached": density_plots.draw(
            f"Test {metric.name} at the end{metric.axis}",
            _drawn(found, reached),
            metric.scale,
            text=metric.text,
        ),
        "swamp_difference": density_plots.draw(
            "The mean of copies minus others" + (metric.axis and ", in points"),
            _drawn(found, minus),
            metric.scale,
            reference=0.0,
            reference_name="equal",
            text=metric.difference,
        ),
    }
    return [Section("Is the mean of copies a better ticket?", lead, plots, "wide")]


def _drawn(found: Found, shown: Sequence[_Line]) -> list[Series]:
    return [
        lines.series(
            label, colour, [(x["level"], x["density"], x[name]) for x in found["levels"]]
        )
        for label, colour, name in shown
    ]
