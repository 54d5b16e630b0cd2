"""Panels: the figures of a study, in the sections of its page."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from matplotlib.figure import Figure

from lth_jax.analysis import words
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.learning import learning_curves, spread
from lth_jax.analysis.summary import Summary
from lth_jax.analysis.verdict import Verdict
from lth_jax.lottery.arms import find_arm
from lth_jax.pruning.criteria import CRITERIA
from lth_jax.report import anatomy_plots, criteria_plots, density_plots, learning_plots
from lth_jax.report.density_plots import DensityPlot
from lth_jax.report.material import Material

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
        found += [_layers(material), _first_layer(material)]
    if material.histograms:
        found.append(_weights(material))
    return found


def _density(verdict: Verdict) -> Section:
    summaries = verdict.summaries

    def accuracy(title: str, measure: Callable[[Summary], Estimate]) -> DensityPlot:
        return density_plots.arms_against_density(
            title, summaries, measure, 100, text=words.accuracy
        )

    steps = density_plots.arms_against_density(
        "Early-stop step (lower is faster)",
        summaries,
        lambda s: s.early_stop_step,
        from_zero=True,
        text=words.steps,
    )
    return Section(
        "How sparse can it get?",
        "Each point is one level: the mean over the replicates, with a 95% band."
        " The early stop is the evaluation with the least validation loss.",
        list(
            _panels(
                accuracy_at_early_stop=accuracy(
                    "Test accuracy at early stop, % (higher is better)",
                    lambda s: s.early_stop_accuracy,
                ),
                early_stop_step=steps,
                accuracy_at_the_end=accuracy(
                    "Test accuracy at the end of training, %",
                    lambda s: s.final_accuracy,
                ),
                training_accuracy_at_the_end=accuracy(
                    "Training accuracy at the end of training, %",
                    lambda s: s.final_train_accuracy,
                ),
            )
        ),
        "wide",
    )


def _criteria(verdict: Verdict) -> Iterator[Section]:
    """The criteria by what they look at."""
    figures = criteria_plots.small_multiples(verdict.standings, verdict.summaries)
    for trained, title in (
        (True, "Which criterion, once the net is trained?"),
        (False, "Which criterion, before training?"),
    ):
        panels = [
            Panel(_plain(f"criterion_{arm}"), figure, {})
            for arm, figure in figures.items()
            if (CRITERIA[arm].looks == "end") == trained
        ]
        if panels:
            lead = (
                "Test accuracy (%) at early stop, the best criterion first, with a 95%"
                " band. Light grey are all the other criteria; all start from the same"
                " weights, and train as long."
            )
            yield Section(title, lead, panels, "small")


def _differences(verdict: Verdict) -> Section:
    early = density_plots.differences_against_density(
        "At early stop: points above or below the dense net",
        verdict.comparisons,
        verdict.summaries,
        lambda c: c.early_stop_difference,
    )
    final = density_plots.differences_against_density(
        "At the end: points above or below the dense net",
        verdict.comparisons,
        verdict.summaries,
        lambda c: c.final_difference,
    )
    return Section(
        "Better or worse than the dense net?",
        "Test accuracy minus that of the same replicate's dense net, in percentage"
        " points. A band that clears zero says that the level differs from dense; the"
        " verdict's answers are also corrected for the number of levels.",
        list(_panels(difference_at_early_stop=early, difference_at_the_end=final)),
        "wide",
    )


def _learning(material: Material) -> Section:
    levels = [level.level for level in material.verdict.levels]
    shown = [0, *spread(levels, _MOST_LEVELS)]
    runs = [run for run in material.runs if not find_arm(run.arm).is_criterion]
    curves = learning_curves(runs, shown, "test", "accuracy")
    figures = learning_plots.draw(curves, material.verdict.summaries)
    return Section(
        "How fast does it learn?",
        "Test accuracy (%) over training. Grey is the dense net, dots are the mean early"
        " stops; an arm that learns faster lies above and to the left.",
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


def _first_layer(material: Material) -> Section:
    first = material.anatomies[0].first
    chosen = spread(material.anatomies, _MOST_LEVELS)
    figures = anatomy_plots.first_layer(chosen)
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


def _panels(**plots: DensityPlot) -> Iterator[Panel]:
    for name, plot in plots.items():
        yield Panel(name, plot.figure, plot.hover)
