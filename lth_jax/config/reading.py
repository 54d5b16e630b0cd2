"""Reading: checks a ConfigDict once, and turns it into the dataclasses."""

import dataclasses
import typing
from collections.abc import Collection, Mapping
from typing import Any

import ml_collections
from ml_collections import config_dict

from lth_jax.config.requirements import ConfigError
from lth_jax.config.study import StudyConfig
from lth_jax.errors import did_you_mean


def default() -> ml_collections.ConfigDict:
    """Returns a locked ConfigDict with every field at its default."""
    return ml_collections.ConfigDict(_to_dict(StudyConfig())).lock()


def variants(text: str, allowed: Collection[str]) -> frozenset[str]:
    """Returns the names after the colon in `--config=configs/conv2.py:dropout,smoke`.

    Raises a `ConfigError` on a name that the config lacks; it lists the variants.
    """
    chosen = frozenset(text.split(",")) if text else frozenset()
    for variant in sorted(chosen - set(allowed)):
        near = did_you_mean(variant, allowed)
        must = f"must be one of {', '.join(allowed)}{near}"
        raise ConfigError(f"config variant: {variant!r}; {must}")
    return chosen


def dotted(group: Any, prefix: str = "") -> dict[str, Any]:
    """Returns the values of all fields by dotted name, such as "prune.fraction"."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(group):
        value, name = getattr(group, field.name), f"{prefix}{field.name}"
        is_group = dataclasses.is_dataclass(value)
        found |= dotted(value, f"{name}.") if is_group else {name: value}
    return found


def _to_dict(group: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, annotation in typing.get_type_hints(type(group)).items():
        value = getattr(group, name)
        if dataclasses.is_dataclass(value):
            value = _to_dict(value)
        elif value is None:  # typed, so that a flag can set it
            (present,) = set(typing.get_args(annotation)) - {type(None)}
            value = config_dict.placeholder(present)
        values[name] = value
    return values


def read(config: Mapping[str, Any]) -> StudyConfig:
    """Returns a checked config; what its arms require is not checked here.

    Raises a `ConfigError` that names the field, its value, and what is allowed.
    """
    study = parse(config)
    study.check()
    return study


def parse(config: Mapping[str, Any]) -> StudyConfig:
    """Returns a config that was checked before; imports nothing that it names.

    Raises a `ConfigError` on an unknown field, or a value of another type.
    """
    study: StudyConfig = _typed("", config, StudyConfig)
    return study


def flag_type(name: str) -> Any:
    """Returns the type of the field that a flag sets, such as "prune.fraction".

    Raises a `ConfigError` if there is no such field; it lists the fields.
    """
    found: Any = StudyConfig
    prefix = ""
    for part in name.split("."):
        found, prefix = _type_of(found, part, prefix), f"{prefix}{part}."
    if dataclasses.is_dataclass(found):
        inside = ", ".join(sorted(typing.get_type_hints(found)))
        raise ConfigError(f"{name}: a group of fields ({inside}); set one of them")
    return found


def _type_of(group: type, name: str, prefix: str) -> Any:
    """The type of a group's field; the error on an unknown one lists its neighbours."""
    hints = typing.get_type_hints(group) if dataclasses.is_dataclass(group) else {}
    if name not in hints:
        there_are = f"; allowed are {', '.join(sorted(hints))}" if hints else ""
        shown = name if name.isprintable() else repr(name)
        near = did_you_mean(name, hints) or _elsewhere(name)
        raise ConfigError(f"{prefix}{shown}: no such field{there_are}{near}")
    return hints[name]


def _elsewhere(name: str) -> str:
    """As `did_you_mean`, for a field of that name in any group."""
    last = {field.rpartition(".")[2]: field for field in dotted(StudyConfig())}
    return f"; did you mean {last[name]!r}?" if name in last else ""


def _typed(field: str, value: Any, annotation: Any) -> Any:
    """The value as the field's type: int where float is wanted, list as tuple."""
    args = typing.get_args(annotation)
    if type(None) in args:
        if value is None:
            return None
        (annotation,) = set(args) - {type(None)}
    if dataclasses.is_dataclass(annotation):
        return _group(field, value, annotation)
    if typing.get_origin(annotation) is tuple:
        if not isinstance(value, tuple | list):
            raise ConfigError(f"{field}: {value!r}; must be a tuple")
        return tuple(_typed(field, item, args[0]) for item in value)
    if annotation is float and type(value) is int:
        try:
            return float(value)
        except OverflowError as error:
            raise ConfigError(f"{field}: {value!r}; must be a float ({error})") from None
    if annotation is str and type(value) is int:  # such as rewind.step=500
        return str(value)
    if type(value) is not annotation:
        raise ConfigError(f"{field}: {value!r}; must be of type {annotation.__name__}")
    return value


def _group(field: str, value: Any, annotation: Any) -> Any:
    """A group of fields, from an instance or from JSON's names and values."""
    values = vars(value) if isinstance(value, annotation) else value
    if not isinstance(values, Mapping | ml_collections.ConfigDict):
        named = f"a group of fields, of type {annotation.__name__}"
        raise ConfigError(f"{field}: {value!r}; must be {named}")
    prefix = f"{field}." if field else ""
    fields = {
        name: _typed(f"{prefix}{name}", item, _type_of(annotation, name, prefix))
        for name, item in values.items()
    }
    for needed in dataclasses.fields(annotation):
        if needed.name not in fields and needed.default is dataclasses.MISSING:
            raise ConfigError(f"{prefix}{needed.name}: missing")
    return annotation(**fields)
