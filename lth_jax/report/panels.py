"""Panels: the figures of a study, in the sections of its page."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from matplotlib.figure import Figure

from lth_jax.analysis import words
from lth_jax.analysis.anatomy import FirstLayer
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.learning import learning_curves, spread
from lth_jax.analysis.metric import ACCURACY, Metric
from lth_jax.analysis.summary import Summary
from lth_jax.analysis.verdict import Verdict
from lth_jax.lottery.arms import reported_arm
from lth_jax.pruning.criteria import CRITERIA
from lth_jax.report import anatomy_plots, criteria_plots, density_plots, learning_plots
from lth_jax.report.density_plots import DensityPlot
from lth_jax.report.material import Material
from lth_jax.store.records import Run

_MOST_LEVELS = 6  # in small multiples


class Panel(NamedTuple):
    """One figure.

    Attributes:
      name: of its files, and of its element on the page.
      figure: as matplotlib has it.
      hover: as `DensityPlot` has it; empty without hover zones.
    """

    name: str
    figure: Figure
    hover: dict[int, tuple[str, list[tuple[str, str, str]]]]


class Section(NamedTuple):
    """Panels under one heading.

    Attributes:
      title: a heading.
      lead: how to read the panels.
      panels: at least one.
      size: "wide", two in a row, or "small", three.
    """

    title: str
    lead: str
    panels: list[Panel]
    size: str


def sections(material: Material) -> list[Section]:
    """All that there is to show of a study."""
    found = [_density(material.verdict)]
    if material.verdict.standings:
        found += _criteria(material.verdict)
    if material.verdict.levels:
        found += [_differences(material.verdict), _learning(material)]
    if material.anatomies:
        found.append(_layers(material))
    firsts = {a.level: (a.layers.density, a.first) for a in material.anatomies if a.first}
    if firsts:
        found.append(_first_layer(firsts))
    if material.histograms:
        found.append(_weights(material))
    return found


def _density(verdict: Verdict) -> Section:
    summaries, metric = verdict.summaries, verdict.metric

    def reached(title: str, measure: Callable[[Summary], Estimate]) -> DensityPlot:
        return density_plots.arms_against_density(
            title, summaries, measure, metric.scale, text=metric.text
        )

    steps = density_plots.arms_against_density(
        "Early-stop step (lower is faster)",
        summaries,
        lambda s: s.early_stop_step,
        from_zero=True,
        text=words.steps,
    )
    name, unit = metric.name, metric.axis
    better = "higher" if metric.sign > 0 else "lower"
    return Section(
        "How sparse can it get?",
        "Each point is one level: the mean over the replicates, with a 95% band."
        " The early stop is the evaluation with the least validation loss.",
        _panels(
            {
                f"{name}_at_early_stop": reached(
                    f"Test {name} at early stop{unit} ({better} is better)",
                    lambda s: s.early_stop_metric,
                ),
                "early_stop_step": steps,
                f"{name}_at_the_end": reached(
                    f"Test {name} at the end of training{unit}",
                    lambda s: s.final_metric,
                ),
                f"training_{name}_at_the_end": reached(
                    f"Training {name} at the end of training{unit}",
                    lambda s: s.final_train_metric,
                ),
            }
        ),
        "wide",
    )


def _criteria(verdict: Verdict) -> Iterator[Section]:
    """The criteria by what they look at."""
    figures = criteria_plots.small_multiples(
        verdict.standings, verdict.summaries, verdict.metric
    )
    for trained, title in (
        (True, "Which criterion, once the net is trained?"),
        (False, "Which criterion, before training?"),
    ):
        panels = [
            Panel(_plain(f"criterion_{arm}"), figure, {})
            for arm, figure in figures.items()
            if (CRITERIA.find(arm).looks == "end") == trained
        ]
        if panels:
            lead = (
                f"{_of_test(verdict.metric)} at early stop, the best criterion first,"
                " with a 95% band. Light grey are all the other criteria; all start from"
                " the same weights, and train as long."
            )
            yield Section(title, lead, panels, "small")


def _differences(verdict: Verdict) -> Section:
    metric = verdict.metric
    what = metric.points.strip() or metric.name
    unit = ", in percentage points" if metric is ACCURACY else ""
    early = density_plots.differences_against_density(
        f"At early stop: {what} above or below the dense net",
        verdict.comparisons,
        verdict.summaries,
        lambda c: c.early_stop_difference,
        metric,
    )
    final = density_plots.differences_against_density(
        f"At the end: {what} above or below the dense net",
        verdict.comparisons,
        verdict.summaries,
        lambda c: c.final_difference,
        metric,
    )
    return Section(
        "Better or worse than the dense net?",
        f"Test {metric.name} minus that of the same replicate's dense net{unit}."
        " A band that clears zero says that the level differs from dense; the"
        " verdict's answers are also corrected for the number of levels.",
        _panels({"difference_at_early_stop": early, "difference_at_the_end": final}),
        "wide",
    )


def _learning(material: Material) -> Section:
    levels = [level.level for level in material.verdict.levels]
    shown = [0, *spread(levels, _MOST_LEVELS)]
    runs = [run for run in material.runs if not reported_arm(run.arm).is_criterion]
    metric = material.verdict.metric
    tested = all(_tests_always(run, metric) for run in runs)
    split = "test" if tested else "validation"
    curves = learning_curves(runs, shown, split, metric.name)
    figures = learning_plots.draw(curves, material.verdict.summaries, metric, split)
    unit = metric.unit and f" ({metric.unit})"
    side = "above" if metric.sign > 0 else "below"
    return Section(
        "How fast does it learn?",
        f"{split.capitalize()} {metric.name}{unit} over training. Grey is the dense net,"
        " dots are the mean early stops; an arm that learns faster lies"
        f" {side} and to the left.",
        [Panel(f"learning_level_{n:02d}", figure, {}) for n, figure in figures.items()],
        "small",
    )


def _layers(material: Material) -> Section:
    figure = anatomy_plots.layer_densities(material.anatomies)
    return Section(
        "Where are the surviving weights?",
        "The share of every layer that is left, as the whole net gets sparser.",
        [Panel("layer_densities", figure, {})],
        "wide",
    )


def _first_layer(levels: Mapping[int, tuple[float, FirstLayer]]) -> Section:
    (_, first), *_ = levels.values()
    chosen = spread(list(levels), _MOST_LEVELS)
    figures = anatomy_plots.first_layer({level: levels[level] for level in chosen})
    if first.is_convolution:
        lead = (
            "The filters of the first convolution, of the first replicate: how many of a"
            " place's input channels are kept."
        )
    else:
        lead = (
            "The first layer's masks: the share of every input's weights that is kept,"
            " mean over the replicates."
        )
    size = "wide" if first.kept.ndim == 1 else "small"
    panels = [Panel(f"first_layer_level_{n:02d}", f, {}) for n, f in figures.items()]
    return Section("What does the mask look at?", lead, panels, size)


def _weights(material: Material) -> Section:
    densities = {s.level: s.density for s in material.verdict.summaries}
    counted = next(iter(material.histograms.values()))
    names = list(material.anatomies[0].layers.layers) if material.anatomies else []
    names = names or list(counted)
    pruned = [name for name in names if name in counted]
    figures = anatomy_plots.weight_distributions(
        {n: (densities[n], found) for n, found in material.histograms.items()},
        spread(pruned, 3),
    )
    return Section(
        "How do the survivors move?",
        "Surviving weights of some layers: grey as the level starts (the init, or the"
        " rewind point), blue as it ends; the areas are equal.",
        [
            Panel(_plain(f"weights_level_{level:02d}_{name}"), figure, {})
            for (level, name), figure in figures.items()
        ],
        "small",
    )


def _plain(name: str) -> str:
    """A name that files and ids can have."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def _panels(plots: Mapping[str, DensityPlot]) -> list[Panel]:
    return [Panel(name, plot.figure, plot.hover) for name, plot in plots.items()]


def _tests_always(run: Run, metric: Metric) -> bool:
    """Whether the test split was evaluated as often as the validation split."""
    tested, validated = run.curves["test", metric.name], run.curves["validation", "loss"]
    return len(tested.steps) == len(validated.steps)


def _of_test(metric: Metric) -> str:
    return f"Test {metric.name}" + (metric.unit and f" ({metric.unit})")
