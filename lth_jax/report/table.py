"""Table: one row a level, as plain text."""

from collections.abc import Sequence

from lth_jax.analysis import words
from lth_jax.analysis.metric import Metric
from lth_jax.analysis.outcomes import Summary
from lth_jax.lottery.arms import reported_arm


def render(
    summaries: Sequence[Summary], metric: Metric, data_note: str | None = None
) -> str:
    """The table of a study, with notes on how to read it and on its data, if any."""
    shown = {s.arm for s in summaries if not reported_arm(s.arm).is_criterion}
    arms = sorted(shown, key=lambda arm: (arm != "ticket", arm))
    cells = {(s.level, s.arm): s for s in summaries}
    measures = ("stop step", f"{metric.short} at stop", f"{metric.short} at end")
    rows = [["level", "density", "weights", *(measures * len(arms))]]
    for level in sorted({s.level for s in summaries}):
        any_arm = next(s for s in summaries if s.level == level)
        density, weights = 100 * any_arm.density, any_arm.weights_left
        row = [str(level), f"{density:.2f}%", f"{weights:,}"]
        for arm in arms:
            found, texts = cells.get((level, arm)), [""] * len(measures)
            if found:
                reached = map(metric.text, (found.early_stop_metric, found.final_metric))
                texts = [words.steps(found.early_stop_step), *reached]
            row += texts
        rows.append(row)
    widths = column_widths(rows)
    titles = " " * (sum(widths[:3]) + 2 * 2)
    for i, arm in enumerate(arms):
        block = widths[3 + 3 * i : 6 + 3 * i]
        titles += "  " + f" {arm} ".center(sum(block) + 2 * 2, "-")
    notes = [] if data_note is None else [data_note]
    return "\n".join([titles, *aligned(rows), "", _note(summaries, metric), *notes])


def column_widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Of rows of as many cells each."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def aligned(rows: Sequence[Sequence[str]], num_left: int = 0) -> list[str]:
    """Rows as lines, their cells below one another: so many at the left, then right."""
    signs = "<" * num_left + ">" * (len(rows[0]) - num_left)
    form = "  ".join(
        f"{{:{sign}{w}}}" for sign, w in zip(signs, column_widths(rows), strict=True)
    )
    return [form.format(*row) for row in rows]


def _note(summaries: Sequence[Summary], metric: Metric) -> str:
    counts = sorted(s.num_replicates for s in summaries)
    means = "One replicate, so no intervals."
    if counts[-1] > 1:
        how = "± half of one, or [its ends] where they lie unevenly"
        means = (
            f"Means over {words.span(counts)} replicates, with 95% intervals"
            f" (Student's t): {how}."
        )
    unit = metric.unit and f" in {metric.unit}"
    return (
        f"{means}\nStop: the first evaluation with the least validation loss.\n"
        f"{metric.short}: test {metric.name}{unit}, there and at the end of the"
        f" budget. Level 0 is the dense net.{_anew(summaries[0], metric)}"
    )


def _anew(dense: Summary, metric: Metric) -> str:
    """How far the test examples might move what is measured on them, if known."""
    if not dense.early_stop_two_way.has_interval:
        return ""
    ends = metric.ends(dense.early_stop_two_way)
    return (
        "\nIntervals are for this test set. Were its examples drawn anew too, the dense"
        f" net's {metric.short} at stop\nwould be in {ends}."
    )
