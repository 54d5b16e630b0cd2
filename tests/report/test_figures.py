"""The table and the figures of a report, each from numbers made up here."""

import itertools
import math

import matplotlib
import numpy as np
import pytest
from support import browsing

from lth_jax.analysis.anatomy import Anatomy, FirstLayer
from lth_jax.analysis.comparison import Comparison
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.learning import LearningCurve
from lth_jax.analysis.metric import ACCURACY
from lth_jax.analysis.outcomes import Summary
from lth_jax.analysis.standings import RANDOM, Score, Standing
from lth_jax.lottery.arms import ARMS
from lth_jax.report import (
    anatomy_plots,
    criteria_plots,
    density_plots,
    learning_plots,
    style,
    svg,
    table,
)
from lth_jax.report.palette import Shown
from lth_jax.store.histograms import Histogram

MINUS = "\N{MINUS SIGN}"
SOME_ARMS = ("ticket", "reinit")
COLOURS = {name: arm.colour.figure for name, arm in ARMS.items()}
NAMES = {name: arm.label for name, arm in ARMS.items()}
PAGES = ("rgb(255, 255, 255)", "rgb(21, 23, 26)")  # as the style sheet has them


def estimate(value, half_width):
    return Estimate(value, value - half_width, value + half_width)


def make_summaries(num_replicates=5, arms=SOME_ARMS, num_levels=3):
    half = 0.01 if num_replicates > 1 else math.nan
    return [
        Summary(
            arm=arm,
            level=level,
            density=0.5**level,
            weights_left=1000 >> level,
            num_replicates=num_replicates,
            num_still_improving=0,
            early_stop_step=estimate(700.4 - 100 * level, 1000 * half),
            early_stop_metric=estimate(0.9512 - 0.01 * i * level, half),
            final_metric=estimate(0.9634, half),
            final_train_metric=estimate(1.0, math.nan),
        )
        for level in range(num_levels)
        for i, arm in enumerate(arms if level else ("ticket",))
    ]


def make_comparisons(num_replicates=5, arms=SOME_ARMS):
    half = 0.01 if num_replicates > 1 else math.nan
    return [
        Comparison(
            arm=arm,
            reference=reference,
            level=level,
            density=0.5**level,
            early_stop_difference=estimate(-0.1 * level - 0.03 * i, half),
            final_difference=estimate(0.02 * level - 0.1 * i, half),
            speedup=estimate(2.0, half),
            speedup_by_replicate=estimate(2.0, half),
            p=0.5,
        )
        for i, arm in enumerate(arms)
        for reference in ("dense", "another")
        for level in (1, 2)
    ]


def make_curves(num_replicates=5, arms=SOME_ARMS, levels=(1, 2)):
    half = 0.02 if num_replicates > 1 else math.nan
    steps = np.arange(100, 1001, 100)
    return [
        LearningCurve(
            arm,
            level,
            0.5**level,
            steps,
            [estimate(0.9 - 100 / s - 0.02 * i, half) for s in steps],
        )
        for level in (0, *levels)
        for i, arm in enumerate(arms if level else ("ticket",))
    ]


def make_anatomies(first, num_levels=3):
    return [
        Anatomy(
            level,
            0.5**level,
            {"dense_0/kernel": 0.4**level, "output/kernel": 0.7**level},
            first,
        )
        for level in range(1, 1 + num_levels)
    ]


def draw(figure):
    """The figure's axes, once everything in it is in its place."""
    svg.inline(figure, "figure")
    return figure.axes[0]


def by_gid(axes):
    return {artist.get_gid(): artist for artist in axes.get_children()}


def hexadecimal(colour):
    return matplotlib.colors.to_hex(colour)


def test_the_table_has_a_row_a_level_and_says_how_to_read_it():
    lines = table.render(make_summaries(), ACCURACY).splitlines()
    assert "ticket" in lines[0]
    assert "reinit" in lines[0]
    assert lines[0].index("ticket") < lines[0].index("reinit")
    assert lines[2].split() == [
        *("0", "100.00%", "1,000"),
        *("700", "±", "10", "95.12", "±", "1.00", "96.34", "±", "1.00"),
    ]
    assert lines[3].split()[:2] == ["1", "50.00%"]
    assert lines[3].split()[-1] == "1.00"
    # Columns line up; the dense net has no controls.
    assert len({len(lines[row]) for row in (1, 3, 4)}) == 1
    assert "Means over 5 replicates" in lines[6]


def test_with_one_replicate_no_interval_is_invented():
    text = table.render(make_summaries(num_replicates=1), ACCURACY)
    assert "±" not in text
    assert "One replicate: no intervals" in text


def test_a_note_on_the_data_ends_the_table():
    note = "cifar10: these files are not the official ones"
    without, with_note = (
        table.render(make_summaries(), ACCURACY, n) for n in (None, note)
    )
    assert with_note == f"{without}\n{note}"


# Figures against density.


@pytest.mark.parametrize("arms", [SOME_ARMS, tuple(ARMS)], ids=["some", "all"])
def test_lines_and_bands_are_the_summaries(arms):
    summaries = make_summaries(arms=arms)
    plot = density_plots.arms_against_density(
        "title", summaries, "early_stop_metric", 100, text=repr
    )
    axes = draw(plot.figure)
    found = by_gid(axes)
    for arm in arms:
        own = [s for s in summaries if s.level == 0 or s.arm == arm]
        x = [100 * s.density for s in own]
        value, low, high = 100 * np.array([s.early_stop_metric for s in own]).T
        line = found[f"data-series-{arm}-line"]
        np.testing.assert_allclose(line.get_xdata(), x)
        np.testing.assert_allclose(line.get_ydata(), value)
        band = found[f"data-series-{arm}-band"]
        assert_band_is(band, x, low, high)
        label = found[f"data-series-{arm}"]
        assert label.get_text() == NAMES[arm]
        colours = line.get_color(), band.get_facecolor()[0], label.get_color()
        assert {hexadecimal(colour) for colour in colours} == {COLOURS[arm]}
    assert plot.hover.keys() == {0, 1, 2}
    heading, rows = plot.hover[1]
    assert heading == "level 1: 50% of the weights"
    dense = next(s for s in summaries if s.level == 0)
    assert rows == [
        *(
            (s.arm, NAMES[s.arm], repr(s.early_stop_metric))
            for s in summaries
            if s.level == 1
        ),
        ("reference", "dense net", repr(dense.early_stop_metric)),
    ]


def assert_band_is(band, x, low, high):
    (path,) = band.get_paths()
    for at, bottom, top in zip(x, low, high, strict=True):
        (here,) = np.nonzero(np.isclose(path.vertices[:, 0], at))
        edges = path.vertices[here, 1]
        np.testing.assert_allclose([edges.min(), edges.max()], [bottom, top])


def test_the_axis_of_densities_goes_from_dense_to_sparse():
    summaries = make_summaries()
    plot = density_plots.arms_against_density(
        "title", summaries, "early_stop_step", from_zero=True, text=repr
    )
    axes = draw(plot.figure)
    assert axes.get_xscale() == "log"
    left, right = axes.get_xlim()
    assert left > 100 > 25 > right > 0
    assert left < 130
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["100", "50", "25"]
    assert axes.get_ylim()[0] == 0
    zones = {
        gid: artist for gid, artist in by_gid(axes).items() if gid and "data-level" in gid
    }
    assert list(zones) == ["data-level-0", "data-level-1", "data-level-2"]
    edges = [
        sorted((zone.get_x(), zone.get_x() + zone.get_width())) for zone in zones.values()
    ]
    assert edges[0][1] == pytest.approx(left)
    assert edges[-1][0] == pytest.approx(right)
    for density, (low, high), following in zip(
        (100, 50, 25), edges, [*edges[1:], None], strict=True
    ):
        assert low < density < high
        assert following is None or following[1] == pytest.approx(low)


@pytest.mark.parametrize("from_zero", [False, True])
def test_a_band_far_wider_than_most_does_not_make_the_axis_useless(from_zero):
    ends = [(0.54, 0.58), (0.0, 1.0), (0.55, 0.61), (0.50, math.inf), (0.53, 0.57)]
    points = [
        (i, 0.5**i, Estimate(0.56 - i / 200, *found)) for i, found in enumerate(ends)
    ]
    line = density_plots.Series(Shown("ticket", "ticket", ARMS["ticket"].colour), points)
    plot = density_plots.draw("title", [line], 100, reference=0.57, from_zero=from_zero)
    low, high = draw(plot.figure).get_ylim()
    assert low == 0 if from_zero else 48 < low < 53
    assert 58 < high < 63
    plot = density_plots.draw("title", [line._replace(points=points[1:2])], 100)
    low, high = draw(plot.figure).get_ylim()
    assert low < 0 and high > 100  # alone, it is what there is to see


@pytest.mark.parametrize("size", [style.WIDE, style.SMALL])
@pytest.mark.parametrize(
    ("keep", "num_levels"),
    [(0.8, 2), (0.8, 9), (0.8, 21), (0.8, 30), (0.65, 9), (0.5, 5), (0.5, 11), (0.2, 6)],
)
def test_labels_of_densities_do_not_touch_and_both_ends_have_one(size, keep, num_levels):
    densities = [keep**level for level in range(num_levels)]
    figure, axes = style.panel("title", size)
    style.density_axis(axes, densities)
    style.label_ends(axes, [style.Label(0.5, "reinit", style.INK, "reinit")])
    axes = draw(figure)
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    texts = [label.get_text() for label in axes.get_xticklabels()]
    assert {"100", f"{100 * densities[-1]:.3g}"} <= set(texts)
    assert all(a.x1 + 2 < b.x0 for a, b in itertools.pairwise(boxes))


def test_all_labels_of_nine_levels_fit_a_wide_figure():
    figure, axes = style.panel("title")
    densities = (1, 0.66, 0.437, 0.2904, 0.1939, 0.1301, 0.0879, 0.0597, 0.0409)
    style.density_axis(axes, densities)
    assert len(draw(figure).get_xticks()) == 9


def test_numbers_of_few_digits_come_before_others():
    close = [100, 51.2, 50, 48.8, 10.4, 10, 9.87, 1]
    assert style.density_ticks(close, 4) == [100, 50, 10, 1]
    assert style.density_ticks([7.5], 4) == [7.5]


def test_many_densities_have_few_ticks():
    summaries = make_summaries(num_levels=21)
    plot = density_plots.arms_against_density(
        "title", summaries, "final_metric", text=repr
    )
    axes = draw(plot.figure)
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert 5 <= len(boxes) <= 9
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))
    assert len(plot.hover) == 21


def test_differences_are_of_the_dense_net_and_zero_is_seen():
    comparisons, summaries = make_comparisons(), make_summaries()
    plot = density_plots.differences_against_density(
        "title", comparisons, summaries, "early_stop_difference", ACCURACY
    )
    axes = draw(plot.figure)
    found = by_gid(axes)
    np.testing.assert_allclose(found["data-series-ticket-line"].get_ydata(), [-10, -20])
    np.testing.assert_allclose(found["data-series-reinit-line"].get_ydata(), [-13, -23])
    low, high = axes.get_ylim()
    assert low < -24 < 0 < high
    assert plot.hover[1][1] == [
        ("ticket", "ticket", f"{MINUS}10.00 [{MINUS}11.00, {MINUS}9.00]"),
        ("reinit", "reinit", f"{MINUS}13.00 [{MINUS}14.00, {MINUS}12.00]"),
        ("reference", "dense net", "95.12 ± 1.00"),
    ]


def test_lines_that_coincide_are_told_apart():
    line = [(1.0, 50.0), (0.5, 60.0), (0.2, 20.0)]
    near = [(x, y + 0.1) for x, y in line]
    shorter, far = near[:2], [(x, y + 2) for x, y in line]
    styles = style.told_apart([line, near, far, shorter])
    assert styles[0] == styles[2] == "-"
    assert "-" not in (styles[1], styles[3]) and styles[1] != styles[3]
    assert style.told_apart([line, line[:1]]) == ["-", "-"]  # a point covers nothing
    assert style.told_apart([]) == []


def test_names_stand_at_the_ends_of_their_lines_and_apart():
    plot = density_plots.differences_against_density(
        "title",
        make_comparisons(),
        make_summaries(),
        "early_stop_difference",
        ACCURACY,
    )
    axes = draw(plot.figure)
    to_axes = axes.transData + axes.transAxes.inverted()
    heights = {text.get_text(): text.xy[1] for text in axes.texts}
    right = axes.get_xlim()[1]
    for name, end in (("ticket", -20), ("reinit", -23), ("dense net", 0)):
        assert heights[name] == pytest.approx(to_axes.transform((right, end))[1])

    # All arms end in the same place: one above the other, and within the figure.
    summaries = make_summaries(arms=tuple(ARMS))
    plot = density_plots.arms_against_density(
        "title", summaries, "final_metric", text=repr
    )
    axes = draw(plot.figure)
    boxes = sorted((t.get_window_extent() for t in axes.texts), key=lambda box: box.y0)
    assert all(a.y1 <= b.y0 + 2 for a, b in itertools.pairwise(boxes))
    assert boxes[0].y0 > 0
    assert boxes[-1].y1 < plot.figure.bbox.height


def test_a_name_is_drawn_as_it_is():
    name = "a_$x$ <b>&\\frac$"
    looks = Shown("study0", name, ARMS["ticket"].colour)
    series = density_plots.Series(looks, [(0, 1.0, estimate(1, 1))])
    plot = density_plots.draw("title", [series])
    text = svg.inline(plot.figure, "figure")
    assert "a_$x$ &lt;b&gt;&amp;\\frac$" in text


@pytest.mark.parametrize("num_replicates", [1, 5])
@pytest.mark.parametrize("num_levels", [1, 2, 3])
def test_little_can_be_drawn_too(num_replicates, num_levels):
    summaries = make_summaries(num_replicates, num_levels=num_levels)
    plot = density_plots.arms_against_density(
        "title", summaries, "early_stop_metric", text=repr
    )
    found = by_gid(draw(plot.figure))
    if num_levels == 1:
        assert "data-series-reinit-line" not in found
        assert list(plot.hover) == [0]
    if num_replicates == 1:
        assert found["data-series-ticket-band"].get_paths() == []
    comparisons = [c for c in make_comparisons(num_replicates) if c.level < num_levels]
    if comparisons:
        plot = density_plots.differences_against_density(
            "title", comparisons, summaries, "final_difference", ACCURACY
        )
        draw(plot.figure)
        assert list(plot.hover) == list(range(1, num_levels))


def test_the_interval_of_a_single_level_is_seen():
    comparisons = [c for c in make_comparisons() if c.level == 1]
    plot = density_plots.differences_against_density(
        "title",
        comparisons,
        make_summaries(),
        "early_stop_difference",
        ACCURACY,
    )
    band = by_gid(draw(plot.figure))["data-series-ticket-band"]
    assert_band_is(band, [50], [-11], [-9])
    assert band.get_linewidth()[0] > 1


# Learning curves.


@pytest.mark.parametrize("arms", [SOME_ARMS, tuple(ARMS)], ids=["some", "all"])
def test_learning_curves_are_drawn_with_their_bands_and_early_stops(arms):
    curves, summaries = make_curves(arms=arms), make_summaries(arms=arms)
    figures = learning_plots.draw(curves, summaries, ACCURACY)
    assert list(figures) == [1, 2]
    limits = set()
    for level, figure in figures.items():
        axes = draw(figure)
        limits.add((axes.get_xlim(), axes.get_ylim()))
        found = by_gid(axes)
        assert f"level {level}: {100 * 0.5**level:.0f}%" in axes.get_title(loc="left")
        for curve in curves:
            if curve.level not in (0, level):
                continue
            key = curve.arm if curve.level else "reference"
            colour = COLOURS[curve.arm] if curve.level else style.FAINT
            value, low, high = 100 * np.array(curve.estimates).T
            line, band, dot = (
                found[f"data-series-{key}-{part}"] for part in ("line", "band", "stop")
            )
            np.testing.assert_allclose(line.get_xydata().T, [curve.steps, value])
            assert_band_is(band, curve.steps, low, high)
            (summary,) = (
                s for s in summaries if (s.arm, s.level) == (curve.arm, curve.level)
            )
            stop = summary.early_stop_step.value, 100 * summary.early_stop_metric.value
            np.testing.assert_allclose(dot.get_xydata(), [stop])
            colours = line.get_color(), band.get_facecolor()[0], dot.get_color()
            assert {hexadecimal(c) for c in colours} == {colour}
            name = NAMES[curve.arm] if curve.level else "dense net"
            assert found[f"data-series-{key}"].get_text() == name
        assert axes.get_ylabel() == "test accuracy, %"
    assert len(limits) == 1  # they can be compared


def test_learning_curves_of_one_replicate_have_no_band():
    curves = make_curves(num_replicates=1, levels=(1,))
    (figure,) = learning_plots.draw(curves, make_summaries(1), ACCURACY).values()
    found = by_gid(draw(figure))
    assert found["data-series-ticket-band"].get_paths() == []
    assert len(found["data-series-ticket-line"].get_xdata()) == 10


# Criteria.


def make_standings(num_replicates=5):
    half = 0.02 if num_replicates > 1 else math.nan
    nothing = estimate(math.nan, math.nan)
    return [
        Standing(
            arm,
            0.7,
            [
                Score(
                    n, 0.5**n, estimate(0.9 - (0.05 + 0.01 * i) * n, half), nothing, "", 1
                )
                for n in (1, 2)
            ],
        )
        for i, arm in enumerate(("snip", "ticket", RANDOM, "large_init"))
    ]


@pytest.mark.parametrize("num_replicates", [5, 1])
def test_each_criterion_is_drawn_beside_the_ticket_and_random_pruning(num_replicates):
    standings = make_standings(num_replicates)
    plots = criteria_plots.small_multiples(
        standings, make_summaries(num_replicates), ACCURACY
    )
    assert list(plots) == ["snip", RANDOM, "large_init"]  # the ticket is in all
    limits = set()
    for arm, plot in plots.items():
        axes = draw(plot.figure)
        limits.add((axes.get_xlim(), axes.get_ylim()))
        assert axes.get_title(loc="left") == arm
        drawn = {
            hexadecimal(line.get_color()): line.get_xydata()
            for line in axes.lines
            if len(line.get_xdata()) == 3
        }
        for name, colour in ((arm, style.ACCENT), ("ticket", COLOURS["ticket"])):
            (mine,) = (s for s in standings if s.arm == name)
            expected = [(100, 95.12)] + [
                (100 * s.density, 100 * s.metric.value) for s in mine.scores
            ]
            np.testing.assert_allclose(drawn[colour], expected)
        names = {text.get_text() for text in axes.texts}
        others = {"ticket"} | ({"random"} if arm != RANDOM else set())
        assert names == {"dense", *others}
        heading, rows = plot.hover[1]
        assert heading == "level 1: 50% of the weights"
        told = {name: value for _, name, value in rows}
        assert told.keys() == {arm, "dense net", *others}
        (score, _) = next(s.scores for s in standings if s.arm == arm)
        assert told[arm] == ACCURACY.text(score.metric)
        (band,) = axes.collections
        low = band.get_paths()
        assert bool(low) == (num_replicates > 1)
    assert len(limits) == 1  # they can be compared


# Anatomy.


def test_layers_are_drawn_against_the_whole_net():
    axes = draw(anatomy_plots.layer_densities(make_anatomies(None)))
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert axes.get_xlim()[0] > 50 > 12.5 > axes.get_xlim()[1]
    hidden, output = (line.get_xydata().T for line in axes.lines)
    np.testing.assert_allclose(hidden, [[50, 25, 12.5], [40, 16, 6.4]])
    np.testing.assert_allclose(output, [[50, 25, 12.5], [70, 49, 34.3]])
    assert [text.get_text() for text in axes.texts] == ["dense_0", "output"]
    to_axes = axes.transData + axes.transAxes.inverted()
    for text, line in zip(axes.texts, axes.lines, strict=True):
        end = to_axes.transform(line.get_xydata()[-1])
        assert text.xy[1] == pytest.approx(end[1])
        assert text.get_color() == line.get_color()


def test_many_layers_have_few_names_and_colours_that_can_be_seen():
    names = [f"conv_{i}/kernel" for i in range(16)] + ["output/kernel"]
    layers = {name: 0.5 + i / 100 for i, name in enumerate(names)}
    level = Anatomy(1, 0.5, layers, None)
    axes = draw(anatomy_plots.layer_densities([level]))
    assert len(axes.lines) == 17
    texts = [text.get_text() for text in axes.texts]
    assert len(texts) == 6
    assert {"conv_0", "output"} <= set(texts)
    for line in axes.lines:
        channels = (round(255 * c) for c in matplotlib.colors.to_rgb(line.get_color()))
        colour = f"rgb({', '.join(map(str, channels))})"
        assert all(browsing.contrast(colour, page) > 3 for page in PAGES)


def test_layers_that_end_alike_share_a_name_that_says_how_many():
    layers = {f"conv_{i}/kernel": 0.4 for i in range(4)} | {"output/kernel": 0.7}
    levels = [Anatomy(n, p, layers, None) for n, p in ((1, 0.5), (2, 0.3))]
    axes = draw(anatomy_plots.layer_densities(levels))
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["conv_0 and 3 more", "output"]
    # They lie on one another, and all can be seen.
    looks = [line.get_linestyle() for line in axes.lines]
    assert looks == ["-", "--", "--", "--", "-"]


def test_inputs_are_more_or_less_than_the_mean_on_a_scale_about_one():
    kept = np.array([0.0, 0.1, 0.2, 0.3])
    (level, *_) = make_anatomies(FirstLayer("dense_0/kernel", kept, False))
    (figure,) = anatomy_plots.first_layer([level]).values()
    (image,) = draw(figure).images
    np.testing.assert_allclose(image.get_array()[0], kept / 0.15)
    assert image.norm(1.0) == 0.5  # the middle of the colours
    for value in (0.0, 1.0, 2.0):  # to be seen on both pages
        red, green, blue, _ = (round(255 * x) for x in image.cmap(image.norm(value)))
        colour = f"rgb({red}, {green}, {blue})"
        assert max(browsing.contrast(colour, page) for page in PAGES) > 3


def test_layers_of_which_nothing_is_left_can_be_drawn():
    layers = {"conv_0/kernel": 0.0, "output/kernel": 0.5}
    firsts = (
        FirstLayer("conv_0/kernel", np.zeros(40), False),
        FirstLayer("conv_0/kernel", np.zeros((8, 8)), False),
        FirstLayer("conv_0/kernel", np.zeros((8, 3, 3), int), True),
    )
    for first in firsts:
        level = Anatomy(3, 0.1, layers, first)
        draw(anatomy_plots.layer_densities([level]))
        (figure,) = anatomy_plots.first_layer([level]).values()
        draw(figure)


def test_what_is_pruned_to_nothing_stands_at_zero():
    levels = [
        Anatomy(1, 0.5, {"a/kernel": 0.4, "output/kernel": 0.8}, None),
        Anatomy(2, 0.02, {"a/kernel": 0.0, "output/kernel": 0.1}, None),
        Anatomy(3, 0.0, {"a/kernel": 0.0, "output/kernel": 0.0}, None),
    ]
    axes = draw(anatomy_plots.layer_densities(levels))
    hidden, output = (line.get_xydata().T for line in axes.lines)
    np.testing.assert_allclose(hidden, [[50, 2, 0], [40, 0, 0]])
    np.testing.assert_allclose(output, [[50, 2, 0], [80, 10, 0]])
    for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        assert min(limits) < 0 < max(limits)
        ticks = [label.get_text() for label in axis.get_ticklabels()]
        assert "0" in ticks
        places = axis.get_transform().transform(axis.get_ticklocs())
        assert np.abs(np.diff(places)).min() > 0.1 * np.ptp(places)


@pytest.mark.parametrize("densities", [(1.0, 0.1, 0.0), (1.0, 0.0, 0.0), (0.0,)])
def test_hover_zones_cover_levels_of_which_nothing_is_left(densities):
    looks = Shown("ticket", "ticket", ARMS["ticket"].colour)
    points = [(i, density, estimate(0.5, 0.1)) for i, density in enumerate(densities)]
    plot = density_plots.draw("title", [density_plots.Series(looks, points)], text=repr)
    axes = draw(plot.figure)
    zones = [a for gid, a in by_gid(axes).items() if gid and "data-level" in gid]
    edges = [sorted((z.get_x(), z.get_x() + z.get_width())) for z in zones]
    for density, (low, high) in zip(densities, edges, strict=True):
        assert low <= 100 * density <= high
    assert [edges[0][1], edges[-1][0]] == pytest.approx(axes.get_xlim())


def test_inputs_on_a_line_are_a_strip_a_level():
    kept = np.linspace(0.1, 0.9, 40)
    anatomies = make_anatomies(FirstLayer("dense_0/kernel", kept, False))
    figures = anatomy_plots.first_layer(anatomies)
    assert list(figures) == [3]
    axes = draw(figures[3])
    (image,) = axes.images
    np.testing.assert_allclose(image.get_array(), np.stack([kept / kept.mean()] * 3))
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["50%", "25%", "12.5%"]


@pytest.mark.parametrize("shape", [(28, 28), (8, 8, 3)])
def test_inputs_of_an_image_are_an_image_a_level(shape):
    kept = np.random.default_rng(0).random(shape)
    anatomies = make_anatomies(FirstLayer("dense_0/kernel", kept, False))
    figures = anatomy_plots.first_layer(anatomies)
    assert list(figures) == [1, 2, 3]
    (image,) = draw(figures[2]).images
    seen = kept if kept.ndim == 2 else kept[..., 0]
    np.testing.assert_allclose(image.get_array(), 100 * seen)
    assert image.get_clim() == (0, pytest.approx(100 * seen.max()))


def test_filters_are_tiles_side_by_side():
    kept = np.random.default_rng(0).integers(0, 4, (10, 3, 5))
    (first, *_) = make_anatomies(FirstLayer("conv_0/kernel", kept, True))
    (figure,) = anatomy_plots.first_layer([first]).values()
    (image,) = draw(figure).images
    tiles = image.get_array().filled(np.nan)
    assert tiles.shape == (3 * 4 - 1, 4 * 6 - 1)  # four columns, a gap between tiles
    for i, filter_ in enumerate(kept):
        top, left = 4 * (i // 4), 6 * (i % 4)
        np.testing.assert_array_equal(tiles[top : top + 3, left : left + 5], filter_)
    assert np.isnan(tiles).sum() == tiles.size - kept.size
    assert image.get_clim() == (0, kept.max())


def test_distributions_are_densities_of_the_survivors():
    edges = np.linspace(-2, 2, 9)
    start, end = np.array([0, 1, 2, 9, 9, 2, 1, 0]), np.array([3, 1, 1, 1, 1, 1, 1, 3])
    found = {"dense_0/kernel": Histogram(edges, start, end)}
    figures = anatomy_plots.weight_distributions(
        {0: (1.0, found), 4: (0.25, found)}, ["dense_0/kernel"]
    )
    assert list(figures) == [(0, "dense_0/kernel"), (4, "dense_0/kernel")]
    axes = draw(figures[4, "dense_0/kernel"])
    assert axes.get_title(loc="left") == "dense_0, 25% of the weights"
    stairs = [patch.get_data() for patch in axes.patches]
    for found, counts in ((stairs[1], start), (stairs[2], end)):
        np.testing.assert_array_equal(found.edges, edges)
        np.testing.assert_allclose(found.values, counts / counts.sum() / 0.5)
    assert axes.get_xlim() == (-2.25, 2.25)  # all weights are seen
    assert "dense net" in draw(figures[0, "dense_0/kernel"]).get_title(loc="left")


def test_a_distribution_of_nothing_can_be_drawn():
    nothing = Histogram(np.linspace(-1, 1, 81), *np.zeros((2, 80), int))
    ((_, figure),) = anatomy_plots.weight_distributions(
        {3: (0.01, {"output/kernel": nothing})}, ["output/kernel"]
    ).items()
    draw(figure)
