"""The arms of a study as its page shows them, people's own arms among them."""

import itertools
import pathlib
import re

import pytest
from support.colours import contrast, distance

from lth_jax.errors import UserError
from lth_jax.lottery.arms import ARMS, find_arm
from lth_jax.report import palette, style, svg
from lth_jax.report.analysed import lines
from lth_jax.report.palette import of_layers, shown

MODULE = """
from lth_jax.lottery.arms import Arm, Colour
half = Arm(None, "arm 0", "the first")
third = Arm(None, "arm 1", "the second")
mine = Arm(None, "mine", "my own arm", Colour("#010203", "#010204", "#010205"))
"""


STYLE_SHEET = pathlib.Path(svg.__file__).parent / "template" / "page.css"
LAYERS = tuple(of_layers("abc").values())


@pytest.fixture
def my_arms(tmp_path, monkeypatch):
    (tmp_path / "report_arms.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


def test_every_arm_has_a_colour_and_a_name_of_its_own():
    found = shown(ARMS)
    assert list(found) == list(ARMS)
    assert len({arm.label for arm in found.values()}) == len(ARMS)
    taken = {style.INK, style.FAINT, style.GRID}
    taken |= {arm.colour.figure for arm in found.values()}
    assert len(taken) == 3 + len(ARMS)
    assert all(arm.key == name for name, arm in found.items())


def test_criteria_are_left_out_and_own_arms_come_last(my_arms):
    own = ["report_arms:half", "report_arms:third"]
    found = shown([own[0], "snip", "shuffle", own[1], "ticket", own[0]])
    assert list(found) == ["ticket", "shuffle", *own]
    assert [found[name].label for name in own] == ["arm 0", "arm 1"]
    keys = [arm.key for arm in found.values()]
    assert len(set(keys)) == 4
    assert all(re.fullmatch("[a-z0-9_]+", key) for key in keys)


@pytest.mark.parametrize("others", [["ticket"], list(ARMS)], ids=["few", "all"])
def test_own_arms_are_told_apart_from_those_shown(others, my_arms):
    names = ["report_arms:mine", "report_arms:half", "report_arms:third"]
    found = shown([*others, *names])
    for shade in ("figure", "light", "dark"):
        colours = {getattr(arm.colour, shade) for arm in found.values()}
        assert len(colours) == len(found)
    assert found["report_arms:mine"].colour == find_arm("report_arms:mine").colour


def test_an_arm_that_is_gone_is_told_by_its_name():
    found = shown(["ticket", "gone_arms:half_way", "given:mine"])
    labels = [arm.label for arm in found.values()]
    assert labels == ["ticket", "half way", "mine"]
    with pytest.raises(UserError, match=r"^'gone' is not allowed"):
        shown(["ticket", "gone"])


@pytest.fixture(params=["light", "dark"])
def on_page(request):
    """The page's own colour, and a function from a figure's colours to the page's."""
    by_scheme = dict(
        zip(
            ("light", "dark"),
            STYLE_SHEET.read_text().split("(prefers-color-scheme: dark)"),
            strict=True,
        )
    )
    named = dict(re.findall(r"(--\w+): (#[0-9a-f]{6});", by_scheme[request.param]))
    own = {colour: named[name] for colour, name in svg._VARIABLES.items()}
    own |= {
        arm.colour.figure: getattr(arm.colour, request.param)
        for arm in shown(ARMS).values()
    }
    return named["--paper"], lambda colour: own.get(colour, colour)


def assert_told_apart(colours, on_page, least):
    paper, shade = on_page
    shades = [shade(colour) for colour in colours]
    assert min(contrast(colour, paper) for colour in shades) > 3
    apart = [distance(*pair) for pair in itertools.combinations(shades, 2)]
    assert min(apart) > least


def test_arms_are_seen_and_told_apart_by_day_and_by_night(on_page):
    arms = [arm.colour.figure for arm in shown(ARMS).values()]
    assert_told_apart(arms, on_page, 0.04)


@pytest.mark.parametrize("shade", ["light", "dark"])
def test_spare_colours_are_seen_and_told_apart_from_those_of_arms(shade):
    colours = [arm.colour for arm in shown(ARMS).values()]
    shades = [getattr(colour, shade) for colour in (*palette._SPARE, *colours)]
    assert_told_apart(shades, ({"light": "#ffffff", "dark": "#15171a"}[shade], str), 0.04)


@pytest.mark.parametrize(
    ("colours", "least"),
    [
        ((lines.FOUND, lines.CHANCE, lines.OTHER, lines.MORE), 0.1),
        ((lines.FOUND, lines.CHANCE, *LAYERS), 0.1),
        ((style.ACCENT, style.RANDOM, palette.TICKET), 0.1),
        ((style.FAINT, style.RANDOM), 0.05),  # one is dashed too
    ],
    ids=["analyses", "layers", "criteria", "references"],
)
def test_lines_of_a_figure_are_seen_and_told_apart(colours, least, on_page):
    assert_told_apart(colours, on_page, least)


def test_a_layer_has_its_colour_among_all_of_a_net():
    assert of_layers(["only"]) == {"only": LAYERS[0]}
    many = of_layers([f"layer_{i}" for i in range(20)])
    assert (many["layer_0"], many["layer_19"]) == (LAYERS[0], LAYERS[2])
    assert len(set(many.values())) == 20
