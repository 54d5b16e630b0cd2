"""Page: a study as one self-contained HTML file."""

import dataclasses
import importlib.resources
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from lth_jax.analysis import words
from lth_jax.analysis.metric import ACCURACY
from lth_jax.analysis.verdict import as_json
from lth_jax.report import svg, table, verdict_table
from lth_jax.report.heading import heading, settings
from lth_jax.report.material import Material
from lth_jax.report.palette import Shown, shown
from lth_jax.report.panels import Section
from lth_jax.report.standings_table import meanings, standings_table
from lth_jax.store.shards import told
from lth_jax.training.early_bird import MOST_DISTANCE

_TEMPLATE = importlib.resources.files("lth_jax.report") / "template"


def _template(name: str) -> str:
    return (_TEMPLATE / name).read_text(encoding="utf-8")


def _unbroken(text: str) -> str:
    """A value that can break across lines only before its interval."""
    text = text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")
    return _ENDS.sub(lambda ends: ends[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


_ENDS = re.compile(r"\[[^\]]*\]")
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FunctionLoader(_template),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


_ENVIRONMENT.filters["unbroken"] = _unbroken


def study_page(material: Material, sections: Sequence[Section]) -> str:
    """Returns the page of one study as HTML."""
    verdict, environment = material.verdict, material.environment
    arms = shown(s.arm for s in verdict.summaries)
    commands = [f"python -m lth_jax.main {shlex.join(x[1:])}" for x in material.commands]
    return render(
        "study.html",
        sections,
        list(arms.values()),
        verdict=as_json(verdict),
        title=material.title,
        heading=heading(material.config),
        facts=_facts(material),
        settings=settings(material.config),
        notes=notes(material),
        sentences=words.sentences(verdict),
        table=verdict_table.level_table(verdict, list(arms)),
        is_anew=any(s.early_stop_two_way.has_interval for s in verdict.summaries),
        criteria=standings_table(verdict, material.config.prune.criterion),
        meanings=meanings(verdict, material.config.prune.criterion),
        metric=verdict.metric,
        margin=words.margin(verdict),
        steps_margin=f"{100 * verdict.steps_margin:.3g}%",
        claims=[verdict_table.claim_row(check) for check in verdict.claims],
        command="\n".join(commands) or "(not noted)",
        environment=flat(environment),
        config=flat(dataclasses.asdict(material.config)),
        text_table=table.render(verdict.summaries, verdict.metric),
    )


def render(
    template: str, sections: Sequence[Section], legend: Sequence[Shown], **values: Any
) -> str:
    """Renders a template with the sections' figures, in the colours of the legend.

    The values must include `verdict`, which base.html needs.
    """
    css, js = map(_template, ("page.css", "page.js"))
    day = " ".join(f"--{arm.key}: {arm.colour.light};" for arm in legend)
    night = " ".join(f"--{arm.key}: {arm.colour.dark};" for arm in legend)
    dark = "@media screen and (prefers-color-scheme: dark)"
    css += f":root {{ {day} }}\n{dark} {{ :root {{ {night} }} }}\n"
    page: str = _ENVIRONMENT.get_template(template).render(
        sections=sections,
        inline=lambda figure, name: Markup(svg.inline(figure, name, legend)),
        legend=legend,
        css=Markup(css),
        js=Markup(js),
        **values,
    )
    return page


def _facts(material: Material) -> str:
    config, verdict = material.config, material.verdict
    metric, dense = verdict.metric, verdict.summaries[0]
    reached = f"{metric.text(dense.early_stop_metric)}{metric.unit}"
    if metric.name != ACCURACY.name:
        reached = f"{metric.name} {reached}"
    replicates = count(verdict.num_replicates, "replicate")
    if material.replicates != [range(verdict.num_replicates)]:
        replicates += f" ({told(material.replicates)})"
    pruned = count(config.num_levels - 1, "pruned level")
    steps = "steps each"
    if config.rewind.preset == "late_rewind":
        steps = f"steps, pruned nets from {config.rewind.step} on"
    return (
        f"{dense.weights_left:,} weights · {replicates} · dense and {pruned} ·"
        f" {config.num_steps:,} {steps} · dense net {reached}"
        f" at step {words.steps(dense.early_stop_step)}"
    )


def count(n: int, what: str) -> str:
    """Returns a number of things in words, such as "1 level" or "2 levels"."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def notes(material: Material) -> list[str]:
    """Returns what a reader must know first: if the study is partial, shards, data."""
    partial = (
        f"Partial: {material.num_groups} of {material.num_planned} arms and levels"
        " are finished. This page is about those only."
    )
    goes_on = material.num_groups < material.num_planned
    data_note = material.environment.get("data_note")
    found = partial if goes_on else None, *material.notes, data_note, _rests(material)
    return [note for note in found if note]


def _rests(material: Material) -> str | None:
    """Says at which steps the Early-Bird rule pruned nets; None without the rule."""
    name = "mask", "early_bird_distance"
    found = [run.curves[name] for run in material.runs if name in run.curves]
    if not found:
        return None
    steps = [x.steps[0] for x in found if x.values[0] < MOST_DISTANCE]
    if not steps:
        return "No masks came to rest by the Early-Bird rule; nets are pruned at the end."
    return f"The Early-Bird rule found masks at steps {min(steps):,} to {max(steps):,}."


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Returns nested values as (dotted name, text)."""
    rows = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", text(value)))
    return rows


def text(value: Any) -> str:
    """Returns a config's value as JSON."""
    return json.dumps(value, default=str)
