"""Axes of studies: the config fields in which studies differ, and their short names."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from lth_jax.config import StudyConfig
from lth_jax.store.workdir import dotted

# Prefixes of the fields that do not change what a study trains.
_NO_PART = "verdict.", "log.", "data.raw_dir"
_NO_AMOUNT = "seed", "first_replicate"  # numbers whose size means nothing
MOST_LINES = 4  # in one panel
_FEWEST = 3  # values that make an axis


class NumericAxis(NamedTuple):
    """A numeric field, and the studies along it."""

    field: str
    # By the values of the other fields: the (value, index) of each study on that line.
    lines: dict[str, list[tuple[float, int]]]


def differing(configs: Sequence[StudyConfig]) -> dict[str, list[Any]]:
    """Returns the fields in which studies differ, by dotted name: a value per study."""
    flat = [dotted(dataclasses.asdict(config)) for config in configs]
    found = {name: [values[name] for values in flat] for name in flat[0]}
    return {
        name: values
        for name, values in found.items()
        if any(value != values[0] for value in values) and not name.startswith(_NO_PART)
    }


def numeric_axis(configs: Sequence[StudyConfig]) -> NumericAxis | None:
    """Returns the numeric field with the most values, if a plot of few lines can show it.

    It returns None if there are too few values, too many lines, or too few studies on a
    line. A field makes no lines if the numeric field determines it: rounds to one density
    determine the fraction. Of fields with equally many values, one of the model comes
    first, since it may determine the number of levels.
    """

    def rank(name: str) -> tuple[int, bool]:
        return len(set(amounts[name])), name.startswith("model.")

    fields = differing(configs)
    amounts = {
        name: numbers
        for name, values in fields.items()
        if name not in _NO_AMOUNT and (numbers := _numbers(values))
    }
    field = max(amounts, key=rank, default=None)
    if field is None or len(set(amounts[field])) < _FEWEST:
        return None
    free = {n: v for n, v in fields.items() if not _decides(fields[field], v)}
    lines: dict[str, list[tuple[float, int]]] = {}
    for i, number in enumerate(amounts[field]):
        others = [f"{last_part(n)} {v[i]}" for n, v in free.items()]
        lines.setdefault(", ".join(others), []).append((number, i))
    if len(lines) > MOST_LINES or min(map(len, lines.values())) < _FEWEST:
        return None
    return NumericAxis(field, {name: sorted(line) for name, line in lines.items()})


def in_order(configs: Sequence[StudyConfig]) -> list[int]:
    """Returns the places of studies along their numeric axis.

    Without an axis, numbers and shares of a single field come first, in their order. All
    other studies are as given.
    """
    if axis := numeric_axis(configs):
        return [i for line in axis.lines.values() for _, i in line]
    fields = list(differing(configs).values())
    if len(fields) != 1:
        return list(range(len(configs)))
    amounts = [_amount(value) for value in fields[0]]
    return sorted(range(len(configs)), key=lambda i: (amounts[i], i))


def short_names(names: Sequence[str]) -> list[str]:
    """Returns short names of a sweep's points: their values, without the field names.

    A field keeps its name if not all points have it. Fields that others determine are
    left out. Names that are not of points, or would become equal, stay as they are.
    """
    points, common = _points(names)
    short = [
        ", ".join(v if k in common else f"{last_part(k)} {v}" for k, v in point.items())
        for point in points
    ]
    return short if len(set(short)) == len(names) else list(names)


def named_fields(names: Sequence[str]) -> list[str]:
    """Returns the fields whose values make up `short_names`, in the same order.

    It returns none if the short names include field names. Groups are left out.
    """
    points, common = _points(names)
    is_short = bool(points) and all(set(point) == common for point in points)
    return [last_part(field) for field in points[0]] if is_short else []


def _points(names: Sequence[str]) -> tuple[list[dict[str, str]], set[str]]:
    """The values of each point by field, and the fields that all points have.

    Both are empty if the names are not of points. If all points have the same fields,
    those that the other fields determine are left out.
    """
    if not all("=" in part for name in names for part in name.split(",")):
        return [], set()
    points = [
        dict(part.partition("=")[::2] for part in name.split(",")) for name in names
    ]
    common = set.intersection(*(set(point) for point in points))
    if all(set(point) == common for point in points):
        for field in reversed(points[0]):
            fewer = [{k: v for k, v in x.items() if k != field} for x in points]
            if len({tuple(x.items()) for x in fewer}) == len(points):
                points = fewer
    return points, common & set().union(*points)


def _decides(values: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether studies with the same value always have the same other value."""
    pairs = {(str(v), str(o)) for v, o in zip(values, others, strict=True)}
    return len(pairs) == len(set(map(str, values)))


def last_part(field: str) -> str:
    """Returns a field's name without its group, for a reader."""
    return field.rpartition(".")[2].replace("_", " ")


def _amount(value: Any) -> float:
    """A number, or a share such as "20%"; infinity for all else."""
    try:
        return float(str(value).removesuffix("%"))
    except ValueError:
        return math.inf


def _numbers(values: Sequence[Any]) -> list[float]:
    """Values as numbers, such as the rewind step "500"; empty if one is not a number.

    Equal sizes of all layers, such as (100, 100), are one number.
    """
    try:
        alike = [
            v[0] if isinstance(v, tuple | list) and len({*v}) == 1 else v for v in values
        ]
        return [] if isinstance(values[0], bool) else [float(v) for v in alike]
    except (TypeError, ValueError):
        return []
