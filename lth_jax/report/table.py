"""Table: one row a level, as plain text."""

from collections.abc import Sequence

from lth_jax.analysis import words
from lth_jax.analysis.metric import Metric
from lth_jax.analysis.summary import Summary
from lth_jax.lottery.arms import reported_arm

_NUM_MEASURES = 3


def render(
    summaries: Sequence[Summary], metric: Metric, data_note: str | None = None
) -> str:
    """The table of a study, with notes on how to read it and on its data, if any."""
    found = {s.arm for s in summaries if not reported_arm(s.arm).is_criterion}
    arms = sorted(found, key=lambda arm: (arm != "ticket", arm))
    cells = {(s.level, s.arm): s for s in summaries}
    measures = ("stop step", f"{metric.short} at stop", f"{metric.short} at end")
    rows = [["level", "density", "weights", *(measures * len(arms))]]
    for level in sorted({s.level for s in summaries}):
        any_arm = next(s for s in summaries if s.level == level)
        density, weights = 100 * any_arm.density, any_arm.weights_left
        row = [str(level), f"{density:.2f}%", f"{weights:,}"]
        for arm in arms:
            row += _cells(cells.get((level, arm)), metric)
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    titles = " " * (sum(widths[:3]) + 2 * 2)
    for i, arm in enumerate(arms):
        block = widths[3 + 3 * i : 6 + 3 * i]
        titles += "  " + f" {arm} ".center(sum(block) + 2 * 2, "-")
    notes = [] if data_note is None else [data_note]
    return "\n".join([titles, *lines, "", _note(summaries, metric), *notes])


def _note(summaries: Sequence[Summary], metric: Metric) -> str:
    counts = sorted({s.num_replicates for s in summaries})
    if counts[-1] == 1:
        means = "One replicate, so no intervals."
    else:
        replicates = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
        interval = "± half of the 95% interval (Student's t)"
        means = f"Means over {replicates} replicates, {interval}."
    unit = metric.unit and f" in {metric.unit}"
    return (
        f"{means} Stop: the first evaluation with the least validation loss.\n"
        f"{metric.short}: test {metric.name}{unit}, there and at the end of the"
        " budget. Level 0 is the dense net."
    )


def _cells(summary: Summary | None, metric: Metric) -> list[str]:
    if summary is None:
        return [""] * _NUM_MEASURES
    return [
        words.steps(summary.early_stop_step),
        metric.text(summary.early_stop_metric),
        metric.text(summary.final_metric),
    ]
