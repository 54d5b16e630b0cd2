import pytest

from lth_jax.registry import Registry, UnknownName


def even(number):
    if not isinstance(number, int):
        raise TypeError("an integer")
    return 2 * number


NUMBERS = Registry("number", {"one": 2, "three": 6}, even)


def test_names_and_imports_are_found(tmp_path, monkeypatch):
    (tmp_path / "strangers_numbers.py").write_text("class a:\n    five = 5\nword = 'x'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert NUMBERS.find("one") == 2
    assert NUMBERS.find("strangers_numbers:a.five") == 10
    with pytest.raises(UnknownName, match=r"'strangers_numbers:word' is no number \(an"):
        NUMBERS.find("strangers_numbers:word")
    with pytest.raises(UnknownName, match="'strangers_numbers:b' cannot be imported"):
        NUMBERS.find("strangers_numbers:b")


@pytest.mark.parametrize("name", ["four", "threee", ":one", "json:", "no_module:x"])
def test_what_is_not_there_is_told(name):
    with pytest.raises(UnknownName, match=name):
        NUMBERS.find(name)


def test_the_nearest_name_is_told():
    with pytest.raises(UnknownName, match=r"one of one, three, or .* mean 'three'\?"):
        NUMBERS.find("threee")
