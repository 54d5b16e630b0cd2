"""Page: a study as one HTML file that needs nothing else."""

import dataclasses
import importlib.resources
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from lth_jax.analysis import words
from lth_jax.analysis.claims import ClaimCheck
from lth_jax.analysis.comparison import Comparison
from lth_jax.analysis.verdict import Finding, LevelVerdict, Verdict, as_json
from lth_jax.report import density_plots, style, svg, table
from lth_jax.report.material import Material
from lth_jax.report.panels import Section

_TEMPLATE = importlib.resources.files("lth_jax.report") / "template"
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FunctionLoader(lambda name: (_TEMPLATE / name).read_text()),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_HELD = {"holds": "yes", "does not hold": "no"}


class Cell(NamedTuple):
    """One of a table; `kind` is "yes", "no" or "undecided" where it is an answer."""

    text: str
    kind: str = ""


def study_page(material: Material, sections: Sequence[Section]) -> str:
    """The page of one study."""
    verdict, environment = material.verdict, material.environment
    arms = density_plots.arms_of(verdict.summaries)
    return render(
        "study.html",
        sections,
        legend=[(arm, style.NAMES[arm]) for arm in arms],
        colours={arm: arm for arm in arms},
        verdict=as_json(verdict),
        title=material.title,
        facts=_facts(material),
        notes=notes(material),
        sentences=words.sentences(verdict),
        table={
            "heads": _heads(arms),
            "rows": [_row(level, verdict, arms) for level in verdict.levels],
            "note": _note(verdict),
        },
        claims=[_claim(check) for check in verdict.claims],
        command=_command(environment),
        environment=flat(environment),
        config=flat(dataclasses.asdict(material.config)),
        text_table=table.render(verdict.summaries),
    )


def render(template: str, sections: Sequence[Section], **values: Any) -> str:
    """A template with the sections' figures in it.

    `legend`, `colours` and `verdict` are among the values: base.html asks for them.
    """
    drawn = [
        {
            "title": section.title,
            "lead": section.lead,
            "size": section.size,
            "panels": [
                {
                    "name": panel.name,
                    "hover": panel.hover,
                    "svg": Markup(svg.inline(panel.figure, panel.name)),
                }
                for panel in section.panels
            ],
        }
        for section in sections
    ]
    css, js = ((_TEMPLATE / name).read_text() for name in ("page.css", "page.js"))
    page: str = _ENVIRONMENT.get_template(template).render(
        sections=drawn, css=Markup(css), js=Markup(js), **values
    )
    return page


def _facts(material: Material) -> str:
    config, verdict = material.config, material.verdict
    dense = verdict.summaries[0]
    return (
        f"{config.model.name} on {config.data.name} · {dense.weights_left:,} weights ·"
        f" {verdict.num_replicates} replicates · {config.num_levels} levels ·"
        f" {config.num_steps:,} steps each · dense net"
        f" {words.accuracy(dense.early_stop_accuracy)}%"
        f" at step {words.steps(dense.early_stop_step)}"
    )


def notes(material: Material) -> list[str]:
    """What a reader must know first: that the study goes on, and of its data."""
    found = []
    if material.is_partial:
        found.append(
            f"Partial: {material.num_groups} of {material.num_planned} arms and levels"
            " are finished. What is said here is of those alone."
        )
    data_note = material.environment.get("data_note")
    return [*found, data_note] if data_note else found


def _heads(arms: Sequence[str]) -> list[str]:
    controls = [f"minus {style.NAMES[arm]}" for arm in arms if arm != "ticket"]
    return [
        "kept",
        "weights",
        "winning ticket",
        "matches dense",
        "ticket, % accuracy",
        "minus dense",
        *controls,
        "early-stop step",
        "speed-up",
        "mean of ratios",
    ]


def _row(level: LevelVerdict, verdict: Verdict, arms: Sequence[str]) -> list[Cell]:
    n = level.level
    ticket = next(s for s in verdict.summaries if (s.arm, s.level) == ("ticket", n))
    compared = {
        c.reference: c for c in verdict.comparisons if (c.arm, c.level) == ("ticket", n)
    }
    controls = [_difference(compared.get(arm)) for arm in arms if arm != "ticket"]
    dense = compared["dense"]
    return [
        Cell(words.percent(level.density)),
        Cell(f"{level.weights_left:,}"),
        _answer(level.winning),
        _answer(level.matches_dense),
        Cell(words.accuracy(ticket.early_stop_accuracy)),
        _difference(dense),
        *controls,
        Cell(words.steps(ticket.early_stop_step)),
        Cell(words.times(dense.speedup)),
        Cell(words.times(dense.speedup_by_replicate)),
    ]


def _difference(comparison: Comparison | None) -> Cell:
    if comparison is None:
        return Cell("")
    return Cell(words.points(comparison.early_stop_difference))


def _answer(finding: Finding) -> Cell:
    if finding.answer == "undecided":
        needed = finding.replicates_needed
        return Cell(f"too few (≈ {needed})" if needed else "too few", "undecided")
    return Cell(finding.answer, finding.answer if finding.answer != "not tested" else "")


def _note(verdict: Verdict) -> str:
    margin = f"{100 * verdict.accuracy_margin:g}"
    return (
        "Accuracies are on test data at early stop, in %, with half of the 95% interval"
        " (Student's t over the replicates). Differences are paired by replicate, in"
        " percentage points, with their 95% intervals. Speed-up is the dense net's"
        " early-stop step over the ticket's: the ratio of means, and the mean of the"
        " replicates' ratios. Answers are corrected for the number of levels (Holm, 5%)."
        f" Matches dense: no more than {margin} points below it. Winning ticket: matches"
        " dense, beats a fresh init of the same mask, and is not shown to learn more"
        " slowly than dense. Too few: about how many replicates would tell, were this"
        " level's difference the true one (80% power)."
    )


def _claim(check: ClaimCheck) -> dict[str, str]:
    claim = check.claim
    if claim.measure == "speedup":
        show, unit = words.times, ""
    elif claim.measure == "early_stop_step":
        show, unit = words.steps, ""
    else:
        absolute = claim.reference == "none"
        show, unit = (words.accuracy, "%") if absolute else (words.points, " points")
    against = "" if claim.reference == "none" else f" against {claim.reference}"
    measure = claim.measure.replace("_", " ").replace("speedup", "speed-up")
    paper = words.value(claim.paper, show)
    low, high = (
        words.value(x, show) if x is not None else "" for x in (claim.low, claim.high)
    )
    bounds = (
        f"{low} to {high}" if low and high else f"above {low}" if low else f"below {high}"
    )
    return {
        "text": f"{claim.arm} at {words.percent(claim.density)}: {measure}{against}"
        f" ({claim.source})",
        "paper": f"{paper}{unit} ({bounds})",
        "here": "" if check.estimate is None else f"{show(check.estimate)}{unit}",
        "answer": check.answer,
        "kind": _HELD.get(check.answer, "undecided"),
    }


def _command(environment: Mapping[str, Any]) -> str:
    arguments = environment.get("command")
    if not arguments:
        return "(not noted)"
    return f"python -m lth_jax.main {shlex.join(arguments[1:])}"


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as (dotted name, text)."""
    rows = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", json.dumps(value, default=str)))
    return rows
