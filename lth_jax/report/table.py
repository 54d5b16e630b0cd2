"""Table: one row per level, as plain text."""

from collections.abc import Callable, Sequence

from lth_jax.analysis import words
from lth_jax.analysis.metric import Metric
from lth_jax.analysis.outcomes import Summary
from lth_jax.lottery.arms import reported_arm
from lth_jax.report.grid import Grid, folded

_Cells = Callable[[Summary], list[str]]


def render(
    summaries: Sequence[Summary], metric: Metric, data_note: str | None = None
) -> str:
    """Returns the whole table, with notes on how to read it and on the data, if any."""
    notes = [] if data_note is None else [data_note]
    lines = folded(_whole(summaries, metric))
    return "\n".join([*lines, "", _note(summaries, metric), *notes])


def brief(summaries: Sequence[Summary], metric: Metric, columns: int) -> list[str]:
    """Returns the lines of the whole table, if they fit so many characters.

    If not, the table has only the metric and the step at early stop of each arm.
    """
    whole = folded(_whole(summaries, metric))
    if max(map(len, whole)) <= columns:
        return whole

    def cells(found: Summary) -> list[str]:
        step = f"{found.early_stop_step.value:,.0f}"
        return [metric.text(found.early_stop_metric), step]

    names = ["level", "density"]
    return folded(_grid(summaries, names, [metric.name, "stop"], cells), columns)


def arms_of(summaries: Sequence[Summary]) -> list[str]:
    """Returns the arms of a table, the ticket first; criteria have a separate table."""
    shown = {s.arm for s in summaries if not reported_arm(s.arm).is_criterion}
    return sorted(shown, key=lambda arm: (arm != "ticket", arm))


def arms_in_words(summaries: Sequence[Summary]) -> str:
    """Returns a sentence on what each control is, or "" if there is none."""
    arms = [reported_arm(arm) for arm in arms_of(summaries) if arm != "ticket"]
    told = "; ".join(f"{arm.label}, {arm.sentence}" for arm in arms)
    return told and f" The controls: {told}."


def how_to_read(summaries: Sequence[Summary]) -> str:
    """Returns a sentence on what the numbers and their intervals are."""
    counts = sorted(s.num_replicates for s in summaries)
    if counts[-1] == 1:
        return "One replicate: no intervals."
    return (
        f"Means over {words.span(counts)} replicates, with 95% intervals (Student's t): ±"
        " the longer side, or [both ends] if that side is over a third longer."
    )


def _whole(summaries: Sequence[Summary], metric: Metric) -> Grid:
    def cells(found: Summary) -> list[str]:
        reached = map(metric.text, (found.early_stop_metric, found.final_metric))
        return [words.steps(found.early_stop_step), *reached]

    heads = ["stop step", f"{metric.short} at stop", f"{metric.short} at end"]
    return _grid(summaries, ["level", "density", "weights"], heads, cells)


def _grid(
    summaries: Sequence[Summary], names: list[str], heads: list[str], cells: _Cells
) -> Grid:
    """A grid with a row for each level and a group of columns for each arm."""
    arms = arms_of(summaries)
    found = {(s.level, s.arm): cells(s) for s in summaries}
    rows = [[*names, *heads * len(arms)]]
    for level in sorted({s.level for s in summaries}):
        any_arm = next(s for s in summaries if s.level == level)
        name = [str(level), f"{100 * any_arm.density:.2f}%", f"{any_arm.weights_left:,}"]
        nothing = [""] * len(heads)
        texts = [text for arm in arms for text in found.get((level, arm), nothing)]
        rows.append([*name[: len(names)], *texts])
    titles = tuple(reported_arm(arm).label for arm in arms)
    return Grid(rows, len(names), size=len(heads), titles=titles)


def _note(summaries: Sequence[Summary], metric: Metric) -> str:
    unit = metric.unit and f" in {metric.unit}"
    return (
        f"{how_to_read(summaries)}\n"
        "Stop: the first evaluation with the least validation loss.\n"
        f"{metric.short}: test {metric.name}{unit}, at the stop and at the end of"
        f" training. Level 0 is the dense net.{_anew(summaries[0], metric)}"
    )


def _anew(dense: Summary, metric: Metric) -> str:
    """A sentence on the interval for new test examples, if it is known."""
    if not dense.early_stop_two_way.has_interval:
        return ""
    ends = metric.ends(dense.early_stop_two_way)
    return (
        "\nIntervals are for this test set. If its examples were also drawn anew, the"
        f" interval of the\ndense net's {metric.short} at stop would be {ends}."
    )
