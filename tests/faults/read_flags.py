"""The reader of a config on the command line, as `lth_jax.main` reads it."""

import contextlib
import io
import pathlib
import random
import string
from typing import Any

from support.paths import ROOT

from faults.inside import parsed
from faults.mutations import mutate
from faults.readers import Reader
from faults.study import Bench
from lth_jax import config as lth_config
from lth_jax import main
from lth_jax.config import StudyConfig
from lth_jax.errors import UserError
from lth_jax.lottery.checks import check_arms

_CONFIG = f"--config={ROOT / 'configs' / 'mnist1d.py'}"
_VALUES = (
    *("0", "1", "-1", "3", "1e9", "1e-30", "nan", "inf", "-inf", "1.5", "9" * 30, "2ep"),
    *(
        "",
        " ",
        "True",
        "False",
        "None",
        "()",
        "(1,2)",
        "(12,)",
        "[]",
        "{}",
        "x",
        "ticket",
    ),
    *("ticket,reinit", "('ticket',)", "lenet", "conv2", "adam", "sgd", "late_rewind"),
    *("magnitude", "mnist1d", "npz:", "npz:/nowhere", "math:sqrt", "json:nothing", ":"),
    *("nowhere:Net", "bfloat16", "((1,2),)", "(0.5,0.25)", "1:2", "'", '"', "\\", "a=b"),
)


def flags(bench: Bench, folder: pathlib.Path) -> Reader:
    """Fields and values that are, and that are not."""
    fields = _fields("", lth_config.default())
    argv: list[str] = []

    def write(rng: random.Random) -> str:
        argv[:] = [_CONFIG + rng.choice((":smoke", ":smoke", "", ":x"))]
        for _ in range(rng.randint(1, 3)):
            argv.append(_override(rng, fields))
        return " ".join(argv)

    return Reader(write, lambda: _read(argv), lambda found: type(found) is StudyConfig)


def _fields(prefix: str, config: Any) -> dict[str, Any]:
    """All fields by their dotted names, and their defaults; groups among them."""
    found = {}
    for name in config:
        found[prefix + name] = config[name]
        if hasattr(config[name], "items"):
            found |= _fields(f"{prefix}{name}.", config[name])
    return found


def _fitting(default: Any) -> tuple[str, ...]:
    """Values of a field's type, which may be allowed."""
    if isinstance(default, bool):
        return "True", "False"
    if isinstance(default, int):
        return "1", "2", "50", "100", "1000"
    if isinstance(default, float):
        return "0.1", "0.5", "1e-3", "1"
    return (str(default),)


def _override(rng: random.Random, fields: dict[str, Any]) -> str:
    name = rng.choice(sorted(fields))
    value = rng.choice(_fitting(fields[name]) if rng.random() < 0.5 else _VALUES)
    if rng.random() < 0.15:
        name = mutate(rng, name.encode()).decode(errors="replace")
    if rng.random() < 0.3:
        value = mutate(rng, value.encode()).decode(errors="replace")
    if rng.random() < 0.1:
        value = "".join(rng.choices(string.printable, k=rng.randint(1, 30)))
    dashes = rng.choice(("--", "--", "--", "-", "", "---"))
    return f"{dashes}config.{name}{rng.choice(('=', '=', '=', '=', '', '=='))}{value}"


def _read(argv: list[str]) -> StudyConfig:
    """As main does: what it prints of an error in one line is a `UserError` here."""
    err = io.StringIO()
    try:
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
            rest = parsed(argv)
    except SystemExit as stop:
        line = err.getvalue()
        if stop.code == 2 and line.startswith("error: ") and line.count("\n") == 1:
            raise UserError(line.strip()) from None
        raise RuntimeError(f"exit code {stop.code}: {line}") from None
    if len(rest) > 1:
        raise UserError(f"unknown argument {rest[1]!r}")
    config = lth_config.read(main.CONFIG.value)
    check_arms(config)
    return config
