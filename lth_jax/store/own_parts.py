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

import flax.linen as nn

from lth_jax.config import StudyConfig
from lth_jax.registry import objects_named
from lth_jax.store.workdir import Workdir, WorkdirError, dotted, read_environment

# Their code changes with their version, which a study notes by itself.
_LIBRARIES = ("lth_jax", "jax", "jaxlib", "flax", "optax", "numpy", "builtins")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # differs in each process


class _NoSource(Exception):
    """The source of a part, or of one of its settings, cannot be read."""


def digests(config: StudyConfig) -> dict[str, str]:
    """Returns a digest of each own part that has a source, by field and name.

    It is of the code of the class or function itself, and of a class's bases; not of what
    this calls. Comments, docstrings and layout do not count. Data are not among them: a
    study notes the digest of their values.
    """
    found = {}
    for field, value in dotted(dataclasses.asdict(config)).items():
        for name in value if isinstance(value, tuple | list) else [value]:
            if field.startswith("data.") or not isinstance(name, str):
                continue
            try:
                texts = [_source(part) for part in objects_named(name)]
            except _NoSource:
                continue
            if texts:
                digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
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
    """The code of a class, function or instance; raises `_NoSource` if there is none.

    Of an instance, such as a `Criterion`, it also has the settings, functions included.
    """
    if isinstance(part, functools.partial):
        settings = {"func": part.func, "args": part.args, **part.keywords}
        return _settings(settings)
    if not isinstance(part, type):
        part = inspect.unwrap(part)  # of `jax.jit`, what it compiles
    if isinstance(part, type) or inspect.isroutine(part):
        return _code(part)
    if isinstance(part, tuple) and hasattr(part, "_asdict"):
        settings = part._asdict()
    elif dataclasses.is_dataclass(part):
        hidden = ("parent", "name") if isinstance(part, nn.Module) else ()
        names = [f.name for f in dataclasses.fields(part) if f.name not in hidden]
        settings = {name: getattr(part, name) for name in names}
    else:
        settings = {}
    return f"{_code(type(part))}\n{_settings(settings)}"


def _settings(values: Mapping[str, Any]) -> str:
    def text(value: Any) -> str:
        has_code = callable(value) or dataclasses.is_dataclass(value)
        return _source(value) if has_code else _ADDRESS.sub("", repr(value))

    return "\n".join(f"{name} = {text(value)}" for name, value in values.items())


def _code(part: Any) -> str:
    """The code of a function, or of a class and its bases; of a library's, its name."""
    module = part.__module__ or "builtins"  # None of some functions in C
    if module.partition(".")[0] in _LIBRARIES:
        return f"{module}.{part.__qualname__}"
    try:
        own = _normalised(inspect.getsource(part))
    except (OSError, TypeError):  # a class of a notebook: its methods have sources
        methods = [own for own in vars(part).values() if inspect.isfunction(own)]
        if not isinstance(part, type) or not methods:
            raise _NoSource from None
        own = "\n".join(map(_code, methods))
    bases = map(_code, part.__bases__) if isinstance(part, type) else ()
    return "\n".join((own, *bases))


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
