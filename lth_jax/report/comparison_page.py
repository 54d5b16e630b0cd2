"""Comparison page: the tickets of several studies side by side."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lth_jax.analysis import words
from lth_jax.analysis.comparison import Comparison
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.metric import ACCURACY, Metric
from lth_jax.analysis.summary import Summary
from lth_jax.analysis.verdict import Choice, Place, as_json
from lth_jax.errors import UserError
from lth_jax.lottery.arms import ARMS
from lth_jax.report import density_plots, page
from lth_jax.report.density_plots import Series
from lth_jax.report.material import Material
from lth_jax.report.palette import Shown
from lth_jax.report.panels import Panel, Section
from lth_jax.report.verdict_table import Cell

_HEADS = (
    "replicates",
    "dense net, {heading}",
    "matches dense down to",
    "{most} at",
    "minus dense",
    "fastest at",
    "speed-up",
    "winning tickets",
)
_MOST_LETTERS = 22


class _Study(NamedTuple):
    """One study, and how the page tells it from the others."""

    material: Material
    looks: Shown


def comparison_page(materials: Sequence[Material], names: Sequence[str]) -> str:
    """One page of several studies, a colour each.

    Raises:
      UserError: if there are more than can be told apart, or they are judged by
        different metrics.
    """
    metric = materials[0].verdict.metric
    for material, name in zip(materials, names, strict=True):
        if (other := material.verdict.metric) != metric:
            raise UserError(
                f"--workdir: {name} is judged by {other.name}, {names[0]} by"
                f" {metric.name}; studies on one page must share a metric"
            )
    colours = [arm.colour for arm in ARMS.values() if arm.colour]
    if len(materials) > len(colours):
        raise UserError(
            f"--workdir: {len(materials)} studies; at most {len(colours)} can be"
            " told apart on one page"
        )
    studies = [
        _Study(material, Shown(f"study{i}", name, colour))
        for i, (material, name, colour) in enumerate(
            zip(materials, names, colours, strict=False)
        )
    ]
    most = "most accurate" if metric is ACCURACY else f"least {metric.name}"
    return page.render(
        "comparison.html",
        _sections(studies, metric),
        [s.looks for s in studies],
        verdict={s.looks.label: as_json(s.material.verdict) for s in studies},
        heads=[head.format(heading=metric.heading, most=most) for head in _HEADS],
        rows=[(s.looks, _cells(s.material)) for s in studies],
        differing=_differing(studies),
        notes=[
            f"{s.looks.label}: {note}" for s in studies for note in page.notes(s.material)
        ],
    )


def _cells(material: Material) -> list[Cell]:
    verdict = material.verdict
    answers, num_levels = verdict.answers, len(verdict.levels)
    metric = verdict.metric
    winning = len(answers.winning)
    return [
        Cell(str(verdict.num_replicates)),
        Cell(metric.text(verdict.summaries[0].early_stop_metric)),
        Cell(_density(answers.sparsest_matching)),
        Cell(_density(answers.best)),
        Cell(metric.difference(answers.best.estimate) if answers.best else ""),
        Cell(_density(answers.fastest)),
        Cell(words.times(answers.fastest.estimate) if answers.fastest else ""),
        Cell(
            f"{winning} of {page.count(num_levels, 'level')}",
            "yes" if winning else "undecided",
        ),
    ]


def _density(place: Place | Choice | None) -> str:
    return "not shown" if place is None else words.percent(place.density)


def _differing(studies: Sequence[_Study]) -> list[tuple[str, list[str]]]:
    """The config fields in which the studies differ, with the value of each."""
    configs = [dict(page.flat(dataclasses.asdict(s.material.config))) for s in studies]
    return [
        (name, values)
        for name in configs[0]
        if len(set(values := [config[name] for config in configs])) > 1
        and not name.startswith("verdict.")
    ]


def _sections(studies: Sequence[_Study], metric: Metric) -> list[Section]:
    def reached(measure: Callable[[Summary], Estimate]) -> list[Series]:
        return [
            _series(s, found, [measure(x) for x in found])
            for s in studies
            if (found := [x for x in s.material.verdict.summaries if x.arm == "ticket"])
        ]

    def compared(measure: Callable[[Comparison], Estimate]) -> list[Series]:
        return [
            _series(s, found, [measure(x) for x in found])
            for s in studies
            if (
                found := [
                    x
                    for x in s.material.verdict.comparisons
                    if (x.arm, x.reference) == ("ticket", "dense")
                ]
            )
        ]

    figures = {
        metric.name: density_plots.draw(
            f"Test {metric.name} of the ticket at early stop{metric.axis}",
            reached(lambda s: s.early_stop_metric),
            metric.scale,
        ),
        "early_stop_step": density_plots.draw(
            "Early-stop step of the ticket (lower is faster)",
            reached(lambda s: s.early_stop_step),
            from_zero=True,
        ),
    }
    what = metric.points.strip() or metric.name
    if any(s.material.verdict.levels for s in studies):
        figures["difference"] = density_plots.draw(
            f"At early stop: {what} above or below its own dense net",
            compared(lambda c: c.early_stop_difference),
            metric.scale,
            reference=0,
        )
        figures["speedup"] = density_plots.draw(
            "Speed-up over its own dense net (higher is faster)",
            compared(lambda c: c.speedup),
            reference=1,
        )
    return [
        Section(
            "Tickets side by side",
            "Each point is one level of a study's ticket: the mean over its replicates,"
            " with a 95% band.",
            [Panel(name, plot.figure, plot.hover) for name, plot in figures.items()],
            "wide",
        )
    ]


def _short(name: str) -> str:
    """A name that leaves room for the figure that it stands in."""
    half = _MOST_LETTERS // 2
    return name if len(name) <= _MOST_LETTERS else f"{name[:half]}…{name[-half:]}"


def _series(
    study: _Study, line: Sequence[Summary | Comparison], estimates: Sequence[Estimate]
) -> Series:
    return Series(
        study.looks.key,
        _short(study.looks.label),
        study.looks.colour.figure,
        [x.level for x in line],
        [x.density for x in line],
        estimates,
    )
