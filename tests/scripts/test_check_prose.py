"""The check of prose finds what it should, and the pages pass it."""

import importlib.util

import pytest
from support.paths import ROOT

SCRIPT = ROOT / "scripts" / "check_prose.py"
_spec = importlib.util.spec_from_file_location("check_prose", SCRIPT)
check_prose = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check_prose)


def words(count):
    return " ".join(["word"] * count)


@pytest.mark.parametrize(
    ("markdown", "lines"),
    [
        (f"# Title\n\n{words(25)}.\n", []),
        (f"# Title\n\n{words(26)}.\n", [3]),
        (f"{words(20)}. {words(20).capitalize()}.\n", []),
        (f"{words(20)}, {words(20)}.\n", [1]),
        (f"{words(20)}\n{words(20)}.\n", [1]),  # one paragraph on two lines
        (f"- {words(20)}\n- {words(20)}\n", []),  # two items
        (f"- {words(20)}\n- {words(30)}\n", [2]),
        (f"{words(24)} `a b c`.\n", []),  # a code span is a word
        (f"{words(24)} [x](http://a.b/c d).\n".replace(" d)", ")"), []),
        (f"{words(24)} [x y z](http://a.b).\n", [1]),
        (f"![{words(26)}](a.png)\n", [1]),
        (f"    {words(40)}\n", []),  # code
        (f"```\n{words(40)}\n```\n", []),
        (f"<!-- {words(40)} -->\n", []),
        (f"| a |\n| --- |\n| {words(40)} |\n", []),  # a list in a cell
        (f"As Frankle et al. Showed, {words(22)}.\n", [1]),  # no end after "al."
    ],
)
def test_long_sentences_are_found_where_they_begin(markdown, lines):
    assert [line for line, _ in check_prose.faults(markdown, ["xyz"])] == lines


@pytest.mark.parametrize(
    ("markdown", "count"),
    [
        ("It gives one.\n", 1),
        ("It Gives one, likewise.\n", 2),
        ("It `gives` one, and forgives.\n", 0),
        ("| a |\n| --- |\n| It gives one |\n", 1),
        ("Nothing but\nfor this.\n", 1),
    ],
)
def test_words_of_the_list_are_found_whole(markdown, count):
    found = list(check_prose.faults(markdown, ["gives", "likewise", "but for"]))
    assert len(found) == count


def test_the_list_is_the_style_sheets():
    found = check_prose.forbidden_words(check_prose.STYLE_SHEET.read_text())
    assert {"but for", "as said", "likewise", "what goes", "gives"} <= set(found)
    with pytest.raises(ValueError, match="words"):
        check_prose.forbidden_words("# No table\n")


def test_a_page_with_a_fault_fails_and_says_where(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("It is right.\n")
    assert check_prose.main([str(page)]) == 0
    page.write_text("It is right.\n\nLikewise.\n")
    assert check_prose.main([str(page)]) == 1
    assert f"{page}:3: 'Likewise'" in capsys.readouterr().out


def test_the_pages_pass(capsys):
    assert check_prose.main([]) == 0, capsys.readouterr().out
