"""The API page: its examples hold, and it has every public function."""

import doctest
import importlib
import re

import pytest
from support.pages import PAGES

import lth_jax as lth

PAGE = PAGES["docs/api.md"]
MODULES = re.findall(r"^::: (\S+)", PAGE, re.MULTILINE)


def test_the_examples_hold():
    test = doctest.DocTestParser().get_doctest(PAGE, {}, "api.md", None, None)
    assert test.examples
    assert not doctest.DocTestRunner(verbose=False).run(test).failed


@pytest.mark.parametrize("name", MODULES)
def test_every_module_is_there(name):
    importlib.import_module(name)


@pytest.mark.parametrize("name", lth.__all__)
def test_every_public_name_is_of_a_module_of_the_page(name):
    found = getattr(lth, name)
    module = getattr(found, "__module__", None) or found.__name__
    assert any(
        module == m or m.startswith(f"{module}.") or module.startswith(f"{m}.")
        for m in MODULES
    )
