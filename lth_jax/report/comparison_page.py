"""Comparison page: the tickets of several studies side by side."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lth_jax.analysis import words
from lth_jax.analysis.comparison import Comparison
from lth_jax.analysis.metric import Metric
from lth_jax.analysis.outcomes import Summary
from lth_jax.analysis.overview import overview
from lth_jax.analysis.verdict import LevelVerdict, Verdict, as_json
from lth_jax.errors import UserError
from lth_jax.lottery.arms import ARMS
from lth_jax.report import density_plots, overview_plots, page
from lth_jax.report.analysed import connectivity
from lth_jax.report.axes_of_studies import (
    MOST_LINES,
    NumericAxis,
    differing,
    last_part,
    named_fields,
    numeric_axis,
    short_names,
)
from lth_jax.report.density_plots import Series, draw, series
from lth_jax.report.heading import heading
from lth_jax.report.material import Material
from lth_jax.report.palette import Shown, shown
from lth_jax.report.panels import Section
from lth_jax.report.studies_table import head_of, studies_table
from lth_jax.report.verdict_table import Cell

_MOST_LETTERS = 24
_SMALL = "ticket", "reinit"  # the arms in a panel for each study


def comparison_page(
    materials: Sequence[Material], names: Sequence[str], links: Sequence[str]
) -> str:
    """Returns one page of several studies as HTML; raises as `report.compare` does.

    `links` are the addresses of the studies' own pages, empty where there is none.

    If there are few studies, each has a colour. If there are more, each has a panel, and
    a row or a point along a numeric field.
    """
    metric = materials[0].verdict.metric
    for material, name in zip(materials, names, strict=True):
        if (other := material.verdict.metric).name != metric.name:
            raise UserError(
                f"--workdir: {name} is judged by {other.name}, {names[0]} by"
                f" {metric.name}; studies on one page must share a metric"
            )
    configs = [material.config for material in materials]
    headings = {heading(config) for config in configs}
    fields = differing(configs)
    are_few, axis = len(materials) <= MOST_LINES, numeric_axis(configs)
    lines = _shown("line", list(axis.lines) if axis and len(axis.lines) > 1 else [], 2)
    shorter, by = short_names(names), named_fields(names)
    study = head_of(names)
    labels = [f"{study} {name}" for name in shorter] if len(by) == 1 else shorter
    studies = _shown("study", labels if are_few else [])
    there = {s.arm for material in materials for s in material.verdict.summaries}
    arms = [] if are_few else list(shown(x for x in _SMALL if x in there).values())
    tickets = dict(zip(studies, materials, strict=False))
    sections = [
        _overview(materials, names, axis, {looks.label: looks for looks in lines}),
        _section(tickets, metric) if are_few else _small_multiples(materials, names),
    ]
    return page.render(
        "comparison.html",
        sections,
        [*studies, *lines, *arms],
        title=" · ".join(labels) if are_few else _title(names, list(fields), by),
        verdict={n: as_json(m.verdict) for n, m in zip(names, materials, strict=True)},
        metric=metric,
        studies=studies_table(materials, names, links, [looks.key for looks in studies]),
        differing=_table(fields, shorter, are_few, study),
        are_few=are_few,
        notes=_notes(materials, names),
        heading=headings.pop() if len(headings) == 1 else "",
    )


def _notes(materials: Sequence[Material], names: Sequence[str]) -> list[str]:
    """What a reader must know first: of each study, and of all together."""
    found = [
        f"{name}: {note}"
        for name, material in zip(names, materials, strict=True)
        for note in page.notes(material)
    ]
    if short := sum(material.verdict.is_budget_short for material in materials):
        are_all = short == len(materials)
        which = f"all {short}" if are_all else f"{short} of {len(materials)}"
        speed = "" if are_all else " Speed-ups do not show speed there."
        found.append(
            f"Training was too short in {which} studies: most of their early stops are in"
            f" its last tenth.{speed}"
            " With more num_steps, other tickets may match or win."
        )
    levels = {tuple(x.density for x in m.verdict.levels) for m in materials}
    if len(levels) > 1:
        found.append(
            "The studies have levels of different densities. A mean over levels is a mean"
            " over other densities in each."
        )
    return found


def _shown(kind: str, names: Sequence[str], first: int = 0) -> list[Shown]:
    """The looks of studies or lines, from the palette's colour `first` on."""
    colours = [arm.colour for arm in ARMS.values() if arm.colour][first:]
    return [
        Shown(f"{kind}{i}", name, colours[i % len(colours)])
        for i, name in enumerate(names)
    ]


def _title(names: Sequence[str], fields: Sequence[str], by: Sequence[str]) -> str:
    """The number of studies, and the fields that differ.

    Fields that the names mention are left out unless they are in `by`, because those in
    `by` determine them.
    """
    told = {part.partition("=")[0] for name in names for part in name.split(",")}
    if by:
        fields = [x for x in fields if x not in told or last_part(x) in by]
    return f"{len(names)} studies" + (f" by {', '.join(fields)}" if fields else "")


def _table(
    fields: Mapping[str, Sequence[Any]], names: Sequence[str], are_few: bool, study: str
) -> list[list[Any]]:
    """The differing fields: a row for each field or, if many, for each study."""
    if not fields:
        return []
    texts = [["field", *names]]
    texts += [[name, *map(page.text, values)] for name, values in fields.items()]
    if not are_few:
        texts[0][0] = study
        texts = [list(row) for row in zip(*texts, strict=True)]
    heads, *rows = texts
    return [heads, *([Cell(text) for text in row] for row in rows)]


def _overview(
    materials: Sequence[Material],
    names: Sequence[str],
    axis: NumericAxis | None,
    looks: Mapping[str, Shown],
) -> Section:
    found = [
        overview(x.runs, x.verdict)._replace(
            **connectivity.barriers(x.analyses.get("connectivity", {}))
        )
        for x in materials
    ]
    if not _end_alike([x.verdict.levels for x in materials]):
        found = [x._replace(at_sparsest=None) for x in found]
    short = [_short(name) for name in short_names(names)]
    plots = overview_plots.draw(found, short, materials[0].verdict.metric, axis, looks)
    each = "Each row" if axis is None else "Each point"
    lead = (
        f"{each} is a study:"
        f" {_band([x.verdict for x in materials], 'interval')}. Tickets"
        " are compared at early stop, as the mean over all pruned levels."
    )
    if "overview_matching" in plots:
        lead += (
            " Matching levels: the dot is the sparsest that is shown to match dense. The"
            " line or band extends to the sparsest that is not shown to be worse."
        )
    if any(x.config.rewind.preset == "late_rewind" for x in materials):
        lead += " Rewound to step k, tickets and fresh inits train only from there on."
    if any(x.dense_barrier or x.ticket_barrier for x in found):
        lead += (
            " Error barrier: how far the test error rises on the line between two copies"
            " that train from the same weights, with data in other orders. Tickets are"
            " those of the sparsest level."
        )
    return Section("How do the studies compare?", lead, plots, "wide")


def _end_alike(levels: Sequence[Sequence[LevelVerdict]]) -> bool:
    """Whether studies of several levels end at one density, up to 5% of it."""
    ends = [own[-1].density for own in levels if own]
    are_several = any(len(own) > 1 for own in levels)
    return are_several and len(ends) == len(levels) and max(ends) < 1.05 * min(ends)


def _small_multiples(materials: Sequence[Material], names: Sequence[str]) -> Section:
    """A panel for each study, on shared axes."""
    metric = materials[0].verdict.metric
    plots = density_plots.small_multiples(
        short_names(names), [material.verdict.summaries for material in materials], metric
    )
    arms = {s.arm for material in materials for s in material.verdict.summaries}
    drawn = "the ticket"
    if "reinit" in arms:
        drawn += " and a fresh init of its mask"
    lead = (
        f"Test {metric.name} at early stop{metric.axis}, with a panel for each study, on"
        f" the same axes. Lines are {drawn}; the dense net is dashed:"
        f" {_band([material.verdict for material in materials])}."
    )
    return Section("How sparse can each get?", lead, plots, "small")


def _band(verdicts: Sequence[Verdict], drawn: str = "band") -> str:
    """What lines and bands mean; there are no bands if studies have one replicate."""
    most = max(verdicts, key=lambda verdict: verdict.num_replicates)
    return words.band(most, drawn=drawn)


def _tickets(verdict: Verdict) -> list[Summary]:
    return [s for s in verdict.summaries if s.arm == "ticket"]


def _against_dense(verdict: Verdict) -> list[Comparison]:
    return [c for c in verdict.comparisons if c[:2] == ("ticket", "dense")]


def _section(studies: Mapping[Shown, Material], metric: Metric) -> Section:
    def lines(of: Callable[[Verdict], Sequence[Any]], measure: str) -> list[Series]:
        named = (
            (looks._replace(label=_short(looks.label)), of(m.verdict))
            for looks, m in studies.items()
        )
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
    if any(material.verdict.answers.fastest for material in studies.values()):
        plots["speedup"] = draw(
            "Speed-up over its own dense net (higher is faster)",
            lines(_against_dense, "speedup"),
            reference=1,
        )
    return Section(
        "Tickets side by side",
        "Each point is one level of a study's ticket:"
        f" {_band([material.verdict for material in studies.values()])}.",
        plots,
        "wide",
    )


def _short(name: str) -> str:
    """A name that is short enough for a figure's label."""
    half = _MOST_LETTERS // 2
    return name if len(name) <= _MOST_LETTERS else f"{name[:half]}…{name[-half:]}"
