"""Own parts: the user's nets, losses and others that a study was made with.

A config has only their names. The folder of a study also has a digest of their source, so
that an edited part does not continue another's study.
"""

import ast
import dataclasses
import functools
import hashlib
import inspect
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from lth_jax.config import StudyConfig
from lth_jax.registry import UnknownName, named_object
from lth_jax.store.workdir import Workdir, WorkdirError, dotted, read_environment

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # differs in each process


def digests(config: StudyConfig) -> dict[str, str]:
    """Returns a digest of each own part that has a source, by field and name.

    Comments, docstrings and layout do not count. Data are not among them: a study notes
    the digest of their values.
    """
    found = {}
    for field, value in dotted(dataclasses.asdict(config)).items():
        for name in value if isinstance(value, tuple | list) else [value]:
            if field.startswith("data.") or not isinstance(name, str):
                continue
            try:
                text = _source(named_object(name))
            except UnknownName:
                continue
            if text:
                digest = hashlib.sha256(text.encode()).hexdigest()[:16]
                found[f"{field} {name}"] = digest
    return found


def check(workdir: Workdir, config: StudyConfig) -> None:
    """Checks that a study's own parts are those that it began with.

    Raises:
      WorkdirError: naming the field and the part.
    """
    if not workdir.environment.exists():
        return
    noted: Mapping[str, str] = read_environment(workdir).get("own_parts", {})
    for part, digest in digests(config).items():
        if noted.get(part, digest) != digest:
            field, _, name = part.partition(" ")
            raise WorkdirError(
                f"{field}: {name!r} has changed since {workdir.root} was made with it;"
                " undo the change, or choose another workdir"
            )


def _source(part: Any) -> str:
    """The code of a class, function or instance, normalised; empty if there is none."""
    if isinstance(part, functools.partial):
        settings = _ADDRESS.sub("", f"{part.args!r} {part.keywords!r}")
        return f"{_source(part.func)} {settings}"
    if not inspect.isroutine(part) and not isinstance(part, type):
        part = type(part)
    try:
        texts = [inspect.getsource(part)]
    except (OSError, TypeError):  # a class of a notebook: its methods have sources
        texts = [_source(own) for own in vars(part).values() if inspect.isfunction(own)]
    return "\n".join(map(_normalised, texts)).strip()


def _normalised(text: str) -> str:
    """Code without comments and docstrings; the text itself if it is only a part."""
    try:
        tree = ast.parse(textwrap.dedent(text))
    except SyntaxError:  # such as a lambda within a call
        return text
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and len(body) > 1 and _is_text(body[0]):
            del body[0]
    return ast.unparse(tree)


def _is_text(statement: ast.AST) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
