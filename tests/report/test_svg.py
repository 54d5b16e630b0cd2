import pathlib
import re
import xml.etree.ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from lth_jax.lottery.arms import Colour
from lth_jax.report import style, svg
from lth_jax.report.palette import Shown

PALETTE = [
    Shown("ticket", "ticket", Colour("#0072b2", "#0072b2", "#56b4e9")),
    Shown("own0", "my arm", Colour("#123456", "#234567", "#abcdef")),
]
COLOURS = {arm.key: arm.colour.figure for arm in PALETTE}
STYLE_SHEET = pathlib.Path(svg.__file__).parent / "template" / "page.css"
SVG = "{http://www.w3.org/2000/svg}"


def make_figure():
    figure, axes = style.panel("title")
    for i, (key, colour) in enumerate(COLOURS.items()):
        (line,) = axes.plot([0, 1], [i, i], color=colour, marker="o")
        line.set_gid(f"data-series-{key}-line")
        band = axes.fill_between([0, 1], [i, i], [i + 1, i + 1], color=colour, alpha=0.2)
        band.set_gid(f"data-series-{key}-band")
    axes.text(0, 0, "below").set_gid("data-series-below")
    axes.axvspan(0, 1, alpha=0).set_gid("data-level-12")
    axes.imshow(np.eye(3), extent=(0, 1, 0, 1))
    return figure


@pytest.fixture
def drawn():
    return svg.inline(make_figure(), "panel", PALETTE)


@pytest.fixture
def root(drawn):
    return xml.etree.ElementTree.fromstring(drawn)


def test_it_is_one_svg_element_and_nothing_else(drawn, root):
    assert root.tag == f"{SVG}svg"
    assert drawn.startswith("<svg")
    assert drawn.endswith("</svg>")
    assert "<metadata" not in drawn
    assert "Date" not in drawn


def test_gids_become_data_attributes(root):
    series = [x.get("data-series") for x in root.iter() if x.get("data-series")]
    assert sorted(series) == sorted([*COLOURS, *COLOURS, "below"])
    (zone,) = (x for x in root.iter() if x.get("data-level"))
    assert zone.get("data-level") == "12"
    assert zone.get("id") is None
    (below,) = (x for x in root.iter() if x.get("data-series") == "below")
    assert "below" in "".join(below.itertext())


def test_ids_and_what_refers_to_them_begin_with_the_name(drawn, root):
    ids = [x.get("id") for x in root.iter() if x.get("id")]
    assert all(found.startswith("panel-") for found in ids)
    assert len(set(ids)) == len(ids)
    referred = re.findall(r'(?:url\(|href=")#([^)"]+)', drawn)
    assert referred
    assert set(referred) <= set(ids)


def test_colours_and_fonts_are_the_pages(drawn):
    assert "#000000" not in drawn
    for colour in (style.INK, style.FAINT, style.GRID, *COLOURS.values()):
        assert colour not in drawn
    variables = set(re.findall(r"var\((--[a-z0-9_]+)\)", drawn))
    expected = {f"--{arm}" for arm in COLOURS}
    assert variables == expected | {"--ink", "--faint", "--grid", "--font"}
    assert "DejaVu" not in drawn
    assert drawn.count("var(--font)") == drawn.count("<text")


def test_the_style_sheet_has_every_colour_by_day_and_by_night():
    day, night = STYLE_SHEET.read_text().split("(prefers-color-scheme: dark)")
    for variable in ("--ink", "--faint", "--grid", "--accent"):
        values = [
            re.search(rf"{variable}: (#[0-9a-f]{{6}});", part)[1] for part in (day, night)
        ]
        assert values[0] != values[1]
    assert f"--ink: {style.INK};" in day


def test_the_same_figure_twice_is_the_same_text(drawn):
    inline = svg.inline
    assert inline(make_figure(), "panel", PALETTE) == drawn
    figure = make_figure()
    assert inline(figure, "panel", PALETTE) == inline(figure, "panel", PALETTE) == drawn


def test_it_leaves_matplotlib_and_what_it_draws_alone():
    before = dict(matplotlib.rcParams)
    figure = Figure()
    figure.text(0.5, 0.5, "#0072b2 is a colour's name, 10px wide")
    text = svg.inline(figure, "panel")
    assert "is a colour's name, 10px wide" in text
    assert dict(matplotlib.rcParams) == before
