"""The arms of a study as its page shows them, people's own arms among them."""

import re

import pytest

from lth_jax.errors import UserError
from lth_jax.lottery.arms import ARMS, find_arm
from lth_jax.report import style
from lth_jax.report.palette import shown

MODULE = """
from lth_jax.lottery.arms import Arm, Colour
half = Arm(None, "arm 0", "the first")
third = Arm(None, "arm 1", "the second")
mine = Arm(None, "mine", "my own arm", Colour("#010203", "#010204", "#010205"))
"""


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
