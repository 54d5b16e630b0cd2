"""Studies table: a row of answers for each of several studies."""

from collections.abc import Sequence

from lth_jax.analysis import words
from lth_jax.analysis.metric import ACCURACY, Metric
from lth_jax.analysis.verdict import Choice, Place, Verdict
from lth_jax.report.axes_of_studies import named_fields, short_names
from lth_jax.report.material import Material
from lth_jax.report.verdict_table import Cell, Table


def studies_table(
    materials: Sequence[Material],
    names: Sequence[str],
    links: Sequence[str] = (),
    keys: Sequence[str] = (),
) -> Table:
    """Returns a row of answers for each study; links and colours (`keys`) may be empty.

    Speed-ups are left out if all budgets are short.
    """
    with_speed = not all(m.verdict.is_budget_short for m in materials)
    heads = [head_of(names), *_heads(materials[0].verdict.metric, with_speed)]
    none = [""] * len(names)
    firsts = map(Cell, short_names(names), none, none, keys or none, links or none)
    cells = (_cells(material.verdict, with_speed) for material in materials)
    return Table(heads, [[first, *row] for first, row in zip(firsts, cells, strict=True)])


def head_of(names: Sequence[str]) -> str:
    """Returns the head above the studies' names: the fields whose values these are."""
    return ", ".join(named_fields(names)) or "study"


def _heads(metric: Metric, with_speed: bool) -> list[str]:
    is_accuracy = metric.name == ACCURACY.name
    most = "most accurate" if is_accuracy else f"least {metric.name}"
    heads = ["replicates", f"dense net, {metric.heading}"]
    heads += ["matches dense down to", f"{most} at", "ticket minus dense there"]
    heads += ["fastest at", "speed-up"] if with_speed else []
    return [*heads, "winning tickets"]


def _cells(verdict: Verdict, with_speed: bool) -> list[Cell]:
    metric, answers = verdict.metric, verdict.answers
    best, fastest = answers.best, answers.fastest
    speed = [_density(fastest), words.times(fastest.estimate) if fastest else ""]
    return [
        Cell(str(verdict.num_replicates)),
        Cell(metric.text(verdict.summaries[0].early_stop_metric)),
        Cell(_density(answers.sparsest_matching)),
        Cell(_density(best)),
        Cell(metric.difference(best.estimate) if best else ""),
        *map(Cell, speed if with_speed else []),
        Cell(*_winning(verdict)),
    ]


def _winning(verdict: Verdict) -> tuple[str, str]:
    """At how many levels the ticket wins, and the kind of that answer."""
    if verdict.levels and all(
        level.winning.answer == "not tested" for level in verdict.levels
    ):
        return "not tested (no reinit)", "undecided"
    winning = len(verdict.answers.winning)
    told = f"{winning} of {len(verdict.levels)}"
    if undecided := sum(x.winning.answer == "undecided" for x in verdict.levels):
        told += f" ({undecided} undecided)"
    return told, "yes" if winning else "undecided"


def _density(place: Place | Choice | None) -> str:
    return "not shown" if place is None else words.percent(place.density)
