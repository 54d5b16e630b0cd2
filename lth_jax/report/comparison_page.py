"""Comparison page: the tickets of several studies side by side."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lth_jax.analysis import words
from lth_jax.analysis.comparison import Comparison
from lth_jax.analysis.metric import Metric
from lth_jax.analysis.outcomes import Summary
from lth_jax.analysis.verdict import Choice, Place, Verdict, as_json
from lth_jax.errors import UserError
from lth_jax.lottery.arms import ARMS
from lth_jax.report import page
from lth_jax.report.density_plots import Series, draw, series
from lth_jax.report.material import Material
from lth_jax.report.palette import Shown
from lth_jax.report.panels import Section
from lth_jax.report.verdict_table import Cell

_MOST_LETTERS = 22


def comparison_page(materials: Sequence[Material], names: Sequence[str]) -> str:
    """One page of several studies, a colour each; raises as `report.compare` does."""
    metric = materials[0].verdict.metric
    for material, name in zip(materials, names, strict=True):
        if (other := material.verdict.metric).name != metric.name:
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
    studies = {
        Shown(f"study{i}", name, colours[i]): material
        for i, (name, material) in enumerate(zip(names, materials, strict=True))
    }
    all_notes = ((looks, page.notes(material)) for looks, material in studies.items())
    return page.render(
        "comparison.html",
        [_section(studies, metric)],
        list(studies),
        verdict={looks.label: as_json(m.verdict) for looks, m in studies.items()},
        metric=metric,
        rows=[(looks, _cells(material.verdict)) for looks, material in studies.items()],
        differing=_differing(materials),
        notes=[f"{looks.label}: {note}" for looks, found in all_notes for note in found],
    )


def _cells(verdict: Verdict) -> list[Cell]:
    metric, answers = verdict.metric, verdict.answers
    best, fastest, winning = answers.best, answers.fastest, len(answers.winning)
    of_levels = page.count(len(verdict.levels), "level")
    return [
        Cell(str(verdict.num_replicates)),
        Cell(metric.text(verdict.summaries[0].early_stop_metric)),
        Cell(_density(answers.sparsest_matching)),
        Cell(_density(best)),
        Cell(metric.difference(best.estimate) if best else ""),
        Cell(_density(fastest)),
        Cell(words.times(fastest.estimate) if fastest else ""),
        Cell(f"{winning} of {of_levels}", "yes" if winning else "undecided"),
    ]


def _density(place: Place | Choice | None) -> str:
    return "not shown" if place is None else words.percent(place.density)


def _differing(materials: Sequence[Material]) -> list[tuple[str, list[str]]]:
    """The config fields in which the studies differ, with the value of each."""
    configs = [dict(page.flat(dataclasses.asdict(m.config))) for m in materials]
    return [
        (name, values)
        for name in configs[0]
        if len(set(values := [config[name] for config in configs])) > 1
        and not name.startswith("verdict.")
    ]


def _tickets(verdict: Verdict) -> list[Summary]:
    return [s for s in verdict.summaries if s.arm == "ticket"]


def _against_dense(verdict: Verdict) -> list[Comparison]:
    return [c for c in verdict.comparisons if c[:2] == ("ticket", "dense")]


def _section(studies: Mapping[Shown, Material], metric: Metric) -> Section:
    def lines(of: Callable[[Verdict], Sequence[Any]], measure: str) -> list[Series]:
        named = ((_short(looks), of(m.verdict)) for looks, m in studies.items())
        return [series(looks, found, measure) for looks, found in named if found]

    plots = {
        metric.name: draw(
            f"Test {metric.name} of the ticket at early stop{metric.axis}",
            lines(_tickets, "early_stop_metric"),
            metric.scale,
        ),
        "early_stop_step": draw(
            "Early-stop step of the ticket (lower is faster)",
            lines(_tickets, "early_stop_step"),
            from_zero=True,
        ),
    }
    what = metric.points.strip() or metric.name
    if any(material.verdict.levels for material in studies.values()):
        plots["difference"] = draw(
            f"At early stop: {what} above or below its own dense net",
            lines(_against_dense, "early_stop_difference"),
            metric.scale,
            reference=0,
        )
        plots["speedup"] = draw(
            "Speed-up over its own dense net (higher is faster)",
            lines(_against_dense, "speedup"),
            reference=1,
        )
    return Section(
        "Tickets side by side",
        "Each point is one level of a study's ticket: the mean over its replicates,"
        " with a 95% band.",
        plots,
        "wide",
    )


def _short(looks: Shown) -> Shown:
    """With a name that leaves room for the figure that it stands in."""
    name, half = looks.label, _MOST_LETTERS // 2
    if len(name) > _MOST_LETTERS:
        name = f"{name[:half]}…{name[-half:]}"
    return looks._replace(label=name)
