"""Sweep: studies that differ in some fields, from the `sweep(add)` of a file."""

import hashlib
import operator
import pathlib
import re
import runpy
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flax.traverse_util import flatten_dict, unflatten_dict

from lth_jax.config.reading import flag_type, read
from lth_jax.config.requirements import ConfigError
from lth_jax.config.study import StudyConfig
from lth_jax.errors import name_of

_LONGEST = 180  # bytes of a name: file systems allow 255, and it gets suffixes


class Point(NamedTuple):
    """One study of a sweep."""

    name: str  # the changes, fit for a folder's name: "prune.fraction=0.3,seed=1"
    changes: dict[str, Any]  # fields by dotted name, as the study has them
    study: StudyConfig


def read_points(path: pathlib.Path, config: Mapping[str, Any]) -> list[Point]:
    """Returns the points of a sweep over a config, in the order the file adds them.

    The file defines `sweep(add)`, which calls `add(seed=1)`, or `add(**{"prune.fraction":
    0.3})`, once for each point. The file may be that of the config. A point keeps its
    name when others are added.

    Args:
      path: a Python file.
      config: nested dicts, such as a `ConfigDict`'s `to_dict()`, which points change.

    Raises:
      ConfigError: if a point's field is wrong, as in `read`; it names the point. Also if
        two points are the same study, or there is no point.
    """
    given: list[dict[str, Any]] = []

    def add(**changes: Any) -> None:
        given.append(changes)

    _call(path, add)
    points: dict[str, Point] = {}
    names: dict[StudyConfig, str] = {}
    for changes in given:
        point = _point(path, config, changes)
        if (other := names.setdefault(point.study, point.name)) != point.name:
            same = f"{point.name} is the same study as {other}"
            raise ConfigError(f"--sweep: {path}: {same}")
        if point.name in points:
            raise ConfigError(f"--sweep: {path}: {point.name} is added twice")
        points[point.name] = point
    if not points:
        raise ConfigError(f"--sweep: {path}: its sweep(add) adds no point")
    return list(points.values())


def _call(path: pathlib.Path, add: Callable[..., None]) -> None:
    """Runs the file and its function; turns what these raise into a one-line error."""
    if not path.is_file():
        raise ConfigError(f"--sweep: {str(path)!r}; no such file")
    try:
        sweep = runpy.run_path(str(path)).get("sweep")
        if callable(sweep):
            sweep(add)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        at = [f"line {x.lineno}, " for x in frames if x.filename == str(path)]
        told = f"{''.join(at[-1:])}{name_of(error)}: {error}"
        raise ConfigError(f"--sweep: {path}: {told}") from None
    if not callable(sweep):
        raise ConfigError(f"--sweep: {path}: has no function sweep(add)")


def _point(
    path: pathlib.Path, config: Mapping[str, Any], changes: dict[str, Any]
) -> Point:
    try:
        for field in changes:
            flag_type(field)  # raises if there is no such field
        flat = flatten_dict(dict(config), sep=".")  # type: ignore[no-untyped-call]
        nested = unflatten_dict(flat | changes, sep=".")  # type: ignore[no-untyped-call]
        study = read(nested)
    except ConfigError as error:
        raise ConfigError(f"--sweep: {path}: add({_listed(changes)}): {error}") from None
    typed = {field: operator.attrgetter(field)(study) for field in changes}
    return Point(_name(typed), typed, study)


def _listed(changes: dict[str, Any]) -> str:
    return ", ".join(f"{field}={value!r}" for field, value in changes.items())


def _name(changes: dict[str, Any]) -> str:
    name = ",".join(f"{field}={_shown(value)}" for field, value in changes.items())
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}~{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return name or "unchanged"


def _shown(value: Any) -> str:
    text = "-".join(map(_shown, value)) if isinstance(value, tuple) else str(value)
    return re.sub(r"[^\w.+%-]", "_", text, flags=re.ASCII)
