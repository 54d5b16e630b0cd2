"""Panels: the figures of a study, in the sections of its page."""

from collections.abc import Iterator, Sequence

from lth_jax.analysis import words
from lth_jax.analysis.anatomy import Anatomy
from lth_jax.analysis.learning import learning_curves, spread
from lth_jax.analysis.levels import levels_that_matter
from lth_jax.analysis.metric import ACCURACY, Metric
from lth_jax.analysis.standings import RANDOM
from lth_jax.analysis.verdict import Verdict
from lth_jax.lottery.arms import reported_arm
from lth_jax.pruning.criteria import CRITERIA
from lth_jax.report import (
    analysed,
    anatomy_plots,
    criteria_plots,
    density_plots,
    learning_plots,
    table,
)
from lth_jax.report.material import Material
from lth_jax.report.section import Section as Section
from lth_jax.report.section import plain
from lth_jax.report.style import Plot

_MOST_LEVELS = 6  # in small multiples


def sections(material: Material) -> list[Section]:
    """Returns all sections of a study's page."""
    verdict = material.verdict
    found = [_density(verdict), *_criteria(verdict)]
    if verdict.levels:
        found += [_differences(verdict), _learning(material)]
    if material.anatomies:
        layers = anatomy_plots.layer_densities(material.anatomies)
        lead = "The share of each layer that is kept, as the whole net gets sparser."
        plots = {"layer_densities": Plot(layers)}
        found.append(Section("Where are the surviving weights?", lead, plots, "wide"))
    if laid_out := [level for level in material.anatomies if level.first]:
        there = [level.level for level in laid_out]
        shown = levels_that_matter(material.verdict, there, _MOST_LEVELS)
        found.append(_first_layer([x for x in laid_out if x.level in shown]))
    if material.histograms:
        found.append(_weights(material))
    return found + analysed.sections(material.analyses, verdict)


def _density(verdict: Verdict) -> Section:
    summaries, metric = verdict.summaries, verdict.metric

    def reached(title: str, measure: str) -> Plot:
        return density_plots.arms_against_density(
            title, summaries, measure, metric.scale, text=metric.text
        )

    name, unit = metric.name, metric.axis
    better = "higher" if metric.sign > 0 else "lower"
    stop = f"Test {name} at early stop{unit} ({better} is better)"
    plots = {f"{name}_at_early_stop": reached(stop, "early_stop_metric")}
    plots["early_stop_step"] = density_plots.arms_against_density(
        "Early-stop step (lower is faster)",
        summaries,
        "early_stop_step",
        from_zero=True,
        text=words.steps,
    )
    end = f"{name} at the end of training{unit}"
    plots[f"{name}_at_the_end"] = reached(f"Test {end}", "final_metric")
    trained = reached(f"Training {end}", "final_train_metric")
    plots[f"training_{name}_at_the_end"] = trained
    cut = ", cut off if it is far wider than most"
    lead = (
        f"Each point is one level: {words.band(verdict, cut)}. The early stop is the"
        f" evaluation with the least validation loss.{table.arms_in_words(summaries)}"
    )
    return Section("How sparse can it get?", lead, plots, "wide")


def _criteria(verdict: Verdict) -> Iterator[Section]:
    """The criteria, in one section for each stage of training that they look at."""
    standings, metric = verdict.standings, verdict.metric
    if not standings:
        return
    panels = criteria_plots.small_multiples(standings, verdict.summaries, metric)
    lead = (
        f"Test {metric.name}{_in_brackets(metric)} at early stop, the best criterion"
        f" first: {words.band(verdict)}. All other criteria are grey; random is {RANDOM}."
        " All start from the same weights and train for as long."
    )
    for trained, title in (
        (True, "Which criterion, once the net is trained?"),
        (False, "Which criterion, before training?"),
    ):
        plots = {
            plain(f"criterion_{arm}"): plot
            for arm, plot in panels.items()
            if (CRITERIA.find(arm).looks == "end") == trained
        }
        if plots:
            yield Section(title, lead, plots, "small")


def _differences(verdict: Verdict) -> Section:
    metric = verdict.metric
    what = metric.points.strip() or metric.name
    unit = ", in percentage points" if metric.name == ACCURACY.name else ""

    def difference(when: str, measure: str) -> Plot:
        title = f"At {when}: {what} above or below the dense net"
        return density_plots.differences_against_density(
            title, verdict.comparisons, verdict.summaries, measure, metric
        )

    clears = (
        " If a band excludes zero, the level differs from dense. The verdict's answers"
        " are also corrected for the number of levels."
    )
    if verdict.num_replicates == 1:
        clears = " One replicate does not show the size of chance effects."
    early = difference("early stop", "early_stop_difference")
    final = difference("the end", "final_difference")
    return Section(
        "Better or worse than the dense net?",
        f"Test {metric.name} minus that of the same replicate's dense net{unit}.{clears}",
        {"difference_at_early_stop": early, "difference_at_the_end": final},
        "wide",
    )


def _learning(material: Material) -> Section:
    metric, summaries = material.verdict.metric, material.verdict.summaries
    there = [level.level for level in material.verdict.levels]
    shown = levels_that_matter(material.verdict, there, _MOST_LEVELS)
    runs = [run for run in material.runs if not reported_arm(run.arm).is_criterion]
    # Use the test split only if it was evaluated as often as the validation split.
    tested = all(
        len(run.curves["test", metric.name].steps)
        == len(run.curves["validation", "loss"].steps)
        for run in runs
    )
    split = "test" if tested else "validation"
    curves = learning_curves(runs, [0, *shown], split, metric)
    figures = learning_plots.draw(curves, summaries, metric, split)
    side = "above" if metric.sign > 0 else "below"
    return Section(
        "How fast does it learn?",
        f"{split.capitalize()} {metric.name}{_in_brackets(metric)} over training:"
        f" {words.band(material.verdict)}. Grey is the dense net, and dots are the early"
        f" stops. The curve of an arm that learns faster is {side} and to the left. The"
        " levels include the sparsest that matches dense, the one beyond it, the most"
        " accurate and the fastest.",
        {f"learning_level_{level:02d}": Plot(found) for level, found in figures.items()},
        "small",
    )


def _first_layer(levels: Sequence[Anatomy]) -> Section:
    first = levels[0].first
    assert first is not None
    figures = anatomy_plots.first_layer(levels)
    lead = (
        "The filters of the first convolution, in the first replicate: how many input"
        " channels are kept at each position."
        if first.is_convolution
        else "The first layer's masks: the share of each input's weights that is kept, as"
        " a mean over the replicates."
    )
    size = "wide" if first.kept.ndim == 1 else "small"
    plots = {f"first_layer_level_{n:02d}": Plot(found) for n, found in figures.items()}
    return Section("What does the mask look at?", lead, plots, size)


def _weights(material: Material) -> Section:
    densities = {s.level: s.density for s in material.verdict.summaries}
    counted = next(iter(material.histograms.values()))
    names = list(material.anatomies[0].layers) if material.anatomies else list(counted)
    figures = anatomy_plots.weight_distributions(
        {n: (densities[n], found) for n, found in material.histograms.items()},
        spread([name for name in names if name in counted], 3),
    )
    return Section(
        "How do the survivors move?",
        "Distributions of the surviving weights in some layers: grey at the level's start"
        " (the init or the rewind point), blue at its end. The areas are equal.",
        {
            plain(f"weights_level_{level:02d}_{name}"): Plot(figure)
            for (level, name), figure in figures.items()
        },
        "small",
    )


def _in_brackets(metric: Metric) -> str:
    return metric.unit and f" ({metric.unit})"
