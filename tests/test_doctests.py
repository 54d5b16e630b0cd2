"""The examples in docstrings, run."""

import doctest
import importlib
import pathlib
import pkgutil

import pytest

import lth_jax


def with_examples():
    """The modules whose docstrings have examples, by name."""
    found = []
    for module in pkgutil.walk_packages(lth_jax.__path__, "lth_jax."):
        text = pathlib.Path(module.module_finder.path, module.name.split(".")[-1])
        path = text / "__init__.py" if module.ispkg else text.with_suffix(".py")
        if ">>> " in path.read_text(encoding="utf-8"):
            found.append(module.name)
    return found


NAMES = with_examples()


def test_the_core_has_examples():
    rooms = {name.split(".")[1] for name in NAMES}
    assert {"masks", "removal", "pruning", "training", "analysis"} <= rooms


@pytest.mark.parametrize("name", NAMES)
def test_examples_print_what_they_say(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried and not failed
