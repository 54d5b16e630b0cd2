"""Command line: configs by name, and flags as a user types them."""

import ast
import functools
import pathlib
import re
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from lth_jax.config.reading import flag_type
from lth_jax.config.requirements import ConfigError
from lth_jax.errors import did_you_mean

_PACKAGE = pathlib.Path(__file__).parents[1]
_ALLOWED = {int: "a whole number", float: "a number", bool: "true or false"}
_PARSERS: dict[type, Callable[[str], Any]] = {
    int: int,
    float: float,
    bool: flags.BooleanParser().parse,
}


def prepare(argv: Sequence[str]) -> list[str]:
    """Returns the arguments in the form that `config_flags` takes.

    `--config=conv6:dropout` becomes the path of the packaged file, and
    `--config.arms=ticket,continue` a Python tuple. The working directory and the config's
    folder are added at the end of the import path. Raises a `ConfigError` if there is no
    such config or field, or a number is none.
    """
    prepared, left = [], list(argv)
    while left:
        argument = left.pop(0)
        name, equals, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and (change := _change(name, bool(equals))):
            value = value if equals or not left else left.pop(0)
            argument = f"--{name}={change(value)}"
        prepared.append(argument)
    return prepared


def set_flag(field: str, value: Any) -> str:
    """Returns the flag that sets a field, as `prepare` and `config_flags` read it.

    Raises a `ConfigError` on None, which no flag can set.
    """
    if value is None:
        raise ConfigError(f"{field}: None; no flag can set it, but the config's file can")
    return f"--config.{field}={value}"


def listing() -> str:
    """Returns the packaged configs, a line each, with their variants."""
    lines = []
    for path in _packaged():
        text = ast.get_docstring(ast.parse(path.read_bytes())) or ""
        variants = dict.fromkeys(re.findall(r'":\w+"', text))
        names = (path.stem + variant.strip('"') for variant in variants)
        head = text.partition("\n")[0]
        lines += [f"{path.stem:10}{head}", f"{'':10}{', '.join(names)}"]
    return "\n".join(lines)


def _packaged() -> list[pathlib.Path]:
    """The configs' files: in the installed package, or beside it in a checkout."""
    inside = sorted((_PACKAGE / "configs").glob("*.py"))
    return inside or sorted((_PACKAGE.parent / "configs").glob("*.py"))


def _change(name: str, has_value: bool) -> Callable[[str], str] | None:
    """The function that turns a flag's value into one that `config_flags` takes."""
    if name == "config":
        return _located
    group, dot, field = name.partition(".")
    if not dot or group != "config":
        return None
    kind = flag_type(field)
    if kind == tuple[str, ...]:
        return _quoted
    # Of int | None, int; a tuple's values are checked with all others.
    if typing.get_origin(kind) is not tuple:
        kind = next((t for t in _ALLOWED if t in typing.get_args(kind)), kind)
    checks = kind in _ALLOWED and (has_value or kind is not bool)
    return functools.partial(_checked, field, kind) if checks else None


def _located(text: str) -> str:
    name, colon, variant = text.partition(":")
    packaged = {path.stem: path for path in _packaged()}
    path = pathlib.Path(name)
    if not path.is_file():
        if name not in packaged:
            names = ", ".join(packaged)
            near = did_you_mean(path.stem, packaged)
            raise ConfigError(
                f"--config: {name!r}; no such file, nor one of {names}{near}"
            )
        path = packaged[name]
    # Last, since configs/mnist1d.py must not hide the package mnist1d.
    for folder in (pathlib.Path.cwd(), path.parent.resolve()):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    return f"{path}{colon}{variant}"


def _checked(field: str, kind: type, text: str) -> str:
    """The text, if it is a value of that kind; `config_flags` has obscure errors."""
    try:
        _PARSERS[kind](text)
    except ValueError:
        raise ConfigError(f"{field}: {text!r}; must be {_ALLOWED[kind]}") from None
    return text


def _quoted(text: str) -> str:
    """Names as a Python tuple: a bare `continue` or `my_arms:mine` is no Python."""
    if text.startswith(("(", "[", '"', "'")):
        return text
    return repr(tuple(name for part in text.split(",") if (name := part.strip())))
