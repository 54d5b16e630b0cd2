"""Figures: made from summaries alone, to be understood without a caption."""

import math
import pathlib
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from lth_jax.analysis.summary import Estimate, Summary
from lth_jax.study.files import whole

# Okabe and Ito's palette, told apart by colour-blind readers; one per arm everywhere.
COLOURS = {
    "ticket": "#0072B2",
    "reinit": "#D55E00",
    "shuffle": "#009E73",
    "random": "#CC79A7",
    "continue": "#E69F00",
}
NAMES = {
    "ticket": "ticket (rewound)",
    "reinit": "reinit (fresh init)",
    "shuffle": "shuffle (other mask)",
    "random": "random (mask and init)",
    "continue": "continue (not rewound)",
}


def accuracy_and_speed(
    summaries: Sequence[Summary],
    path: pathlib.Path,
    title: str,
    data_note: str | None = None,
) -> None:
    """Test accuracy and early-stop step against density, as one PNG.

    Args:
      summaries: of all levels and arms.
      path: where to; the file appears whole.
      title: what was studied.
      data_note: a small line at the foot, if any.
    """
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _panel(left, summaries, lambda s: s.early_stop_accuracy, 100)
    left.set_title("Test accuracy at early stop, % (higher is better)", loc="left")
    _panel(right, summaries, lambda s: s.early_stop_step, 1, from_zero=True)
    right.set_title("Early-stop step (lower is faster)", loc="left")
    figure.suptitle(f"{title}: {_subtitle(summaries)}", fontsize=10, x=0.01, ha="left")
    if data_note is not None:
        figure.supxlabel(data_note, fontsize=8, x=0.01, ha="left", color="0.4")
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=150)


def _subtitle(summaries: Sequence[Summary]) -> str:
    most = max(s.num_replicates for s in summaries)
    if most < 2:
        return "one replicate, so no intervals"
    return f"mean and 95% interval over {most} replicates"


def _panel(
    axes: Axes,
    summaries: Sequence[Summary],
    measure: Callable[[Summary], Estimate],
    scale: float,
    *,
    from_zero: bool = False,
) -> None:
    """One line and band an arm, all from the dense net at the left."""
    dense = next(s for s in summaries if s.level == 0)
    reference = scale * measure(dense).mean
    axes.axhline(reference, color="0.6", linewidth=1, linestyle=(0, (4, 3)))
    ends = []
    for arm in [a for a in COLOURS if any(s.arm == a for s in summaries)]:
        line = [s for s in summaries if s.arm == arm and s.level > 0]
        line = [dense, *sorted(line, key=lambda s: -s.density)]
        x = [100 * s.density for s in line]
        y = [scale * measure(s).mean for s in line]
        half = [_zero_if_none(scale * measure(s).half_width) for s in line]
        low = [a - b for a, b in zip(y, half, strict=True)]
        high = [a + b for a, b in zip(y, half, strict=True)]
        colour, order = COLOURS[arm], 3 if arm == "ticket" else 2
        axes.fill_between(
            x, low, high, alpha=0.18, linewidth=0, color=colour, zorder=order
        )
        width = 2.2 if arm == "ticket" else 1.6
        axes.plot(
            x, y, marker="o", markersize=3.5, linewidth=width, color=colour, zorder=order
        )
        ends.append((y[-1], arm))
    _density_axis(axes, summaries)
    if from_zero:
        axes.set_ylim(bottom=0)
    sparsest = 100 * min(s.density for s in summaries)
    _label_ends(axes, [*ends, (reference, "dense net")], sparsest)


def _zero_if_none(half_width: float) -> float:
    return 0.0 if math.isnan(half_width) else half_width


def _density_axis(axes: Axes, summaries: Sequence[Summary]) -> None:
    """Logarithmic, the dense net at the left as in the paper; ticks at levels."""
    axes.set_xscale("log")
    axes.set_xlim(130, 100 * min(s.density for s in summaries) / 1.1)
    densities = sorted({100 * s.density for s in summaries}, reverse=True)
    apart = (densities[0] / densities[-1]) ** (1 / 10)  # room for ten labels
    ticks = [densities[0]]
    for density in densities[1:]:
        if ticks[-1] / density >= apart:
            ticks.append(density)
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.3g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("density: weights kept, % (log scale, sparser to the right)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.92")
    axes.set_axisbelow(True)


def _label_ends(axes: Axes, ends: Sequence[tuple[float, str]], x: float) -> None:
    """Names the lines at their ends, apart enough to be read."""
    bottom, top = axes.get_ylim()
    gap = 0.05 * (top - bottom)
    at = -math.inf
    for y, name in sorted(ends):
        at = max(y, at + gap)
        axes.annotate(
            NAMES.get(name, name),
            (x, at),
            xytext=(12, 0),
            textcoords="offset points",
            color=COLOURS.get(name, "0.4"),
            fontsize=9,
            va="center",
            annotation_clip=False,
        )
