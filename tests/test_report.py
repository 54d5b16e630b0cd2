import math

import numpy as np
from matplotlib import image

from lth_jax.analysis.summary import Estimate, Summary
from lth_jax.core.tickets import ARMS
from lth_jax.report import figures, table


def make_summaries(num_replicates=5, arms=("ticket", "reinit")):
    half = 0.01 if num_replicates > 1 else math.nan
    return [
        Summary(
            arm=arm,
            level=level,
            density=0.5**level,
            weights_left=1000 >> level,
            num_replicates=num_replicates,
            early_stop_step=Estimate(700.4 - 100 * level, 1000 * half),
            early_stop_accuracy=Estimate(0.9512, half),
            final_accuracy=Estimate(0.9634, half),
        )
        for level in range(3)
        for arm in (arms if level else ("ticket",))
    ]


def test_the_table_has_a_row_a_level_and_says_how_to_read_it():
    lines = table.render(make_summaries()).splitlines()
    assert "ticket" in lines[0]
    assert "reinit" in lines[0]
    assert lines[0].index("ticket") < lines[0].index("reinit")
    assert lines[2].split() == [
        *("0", "100.00%", "1,000"),
        *("700", "±", "10", "95.12", "±", "1.00", "96.34", "±", "1.00"),
    ]
    assert lines[3].split()[:2] == ["1", "50.00%"]
    assert lines[3].split()[-1] == "1.00"
    assert len({len(line) for line in lines[1:5]}) == 1  # columns line up
    assert "Means over 5 replicates" in lines[6]


def test_with_one_replicate_no_interval_is_invented():
    text = table.render(make_summaries(num_replicates=1))
    assert "±" not in text
    assert "One replicate, so no intervals" in text


def test_a_note_on_the_data_ends_the_table():
    note = "cifar10: these files are not the official ones"
    without, with_note = (table.render(make_summaries(), n) for n in (None, note))
    assert with_note == f"{without}\n{note}"


def test_a_note_on_the_data_stands_at_the_foot_of_the_figure(tmp_path):
    note = "cifar10: these files are not the official ones (SHA-256 0123456789abcdef…);"
    note += " accuracies may differ from those on the original"
    feet = []
    for name, data_note in (("without.png", None), ("with.png", note)):
        figures.accuracy_and_speed(
            make_summaries(), tmp_path / name, "a study", data_note
        )
        pixels = image.imread(tmp_path / name)[..., :3]
        assert pixels.shape[:2] == (780, 1650)
        dark = pixels[-25:].min(-1) < 0.9
        feet.append(np.flatnonzero(dark.any(0)))
    assert feet[1].min() < 30 < feet[0].min()  # from the left edge
    assert 800 < feet[1].max() < 1620  # and not beyond the right one


def test_figures_are_whole_png_files_with_a_colour_for_every_arm(tmp_path):
    assert figures.COLOURS.keys() == figures.NAMES.keys() == ARMS.keys()
    path = tmp_path / "figure.png"
    figures.accuracy_and_speed(make_summaries(arms=tuple(ARMS)), path, "a study")
    pixels = image.imread(path)
    assert pixels.shape[:2] == (780, 1650)
    drawn = {tuple(c) for c in np.rint(255 * pixels[..., :3]).reshape(-1, 3).astype(int)}
    for colour in figures.COLOURS.values():
        assert tuple(bytes.fromhex(colour[1:])) in drawn
    assert [p.name for p in tmp_path.iterdir()] == ["figure.png"]


def test_figures_of_a_dense_net_or_one_replicate_can_be_drawn(tmp_path):
    one = make_summaries(num_replicates=1)
    figures.accuracy_and_speed(one, tmp_path / "one.png", "one replicate")
    figures.accuracy_and_speed(one[:1], tmp_path / "dense.png", "the dense net alone")
    assert len(list(tmp_path.iterdir())) == 2
