"""Fields: all fields of a config, each with its meaning, for a reader at a terminal.

The meaning of a field is the comment beside it, or above it, in its dataclass.
"""

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

from lth_jax.config.study import StudyConfig

_SENTENCE_END = re.compile(r"\. (?=[A-Z])")  # not the full stop of "et al. 2021"


class Field(NamedTuple):
    """A field by its dotted name, such as "prune.fraction"."""

    name: str
    default: Any
    meaning: str  # the first sentence of its comment; empty if it has none


def fields() -> list[Field]:
    """Returns the fields of a study: its own first, then group by group."""
    found = list(_of(StudyConfig(), ""))
    return sorted(found, key=lambda field: "." in field.name)  # a stable sort


def listing(columns: int) -> str:
    """Returns a line or two for each field, at most `columns` wide."""
    lines = []
    for name, default, meaning in fields():
        lines.append(f"--config.{name}={default!r}")
        indent = " " * 4
        lines += textwrap.wrap(
            meaning,
            columns,
            initial_indent=indent,
            subsequent_indent=indent,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def _of(group: Any, prefix: str) -> Iterator[Field]:
    meanings = _meanings(type(group))
    for field in dataclasses.fields(group):
        value, name = getattr(group, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from _of(value, f"{name}.")
        else:
            yield Field(name, value, meanings[field.name])


def _meanings(group: type) -> dict[str, str]:
    """The first sentences of the fields' comments."""
    source = textwrap.dedent(inspect.getsource(group))
    lines = source.splitlines()
    (tree,) = ast.parse(source).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            comment = _beside(lines, node) or _above(lines, node.lineno - 1)
            found[node.target.id] = _SENTENCE_END.split(comment)[0].rstrip(".")
    return found


def _beside(lines: list[str], node: ast.AnnAssign) -> str:
    """The comment after the field on its last line."""
    last, end = node.end_lineno, node.end_col_offset
    assert last is not None and end is not None
    line = lines[last - 1].encode()[end:].decode()
    return line.strip().removeprefix("#").strip()


def _above(lines: list[str], at: int) -> str:
    """The comment that ends before a line."""
    first = at
    while lines[first - 1].strip().startswith("#"):
        first -= 1
    return " ".join(line.strip().removeprefix("#").strip() for line in lines[first:at])
