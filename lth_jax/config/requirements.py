"""Requirements: what makes a field's value an error, told by the field's name."""

from collections.abc import Collection
from typing import Any

from lth_jax.errors import UserError
from lth_jax.registry import Registry, UnknownName


class ConfigError(UserError):
    """A field's value that is not allowed."""


def require(field: str, value: Any, ok: bool, allowed: str) -> None:
    """Raises a `ConfigError` of the value, saying what is allowed, unless it is ok."""
    if not ok:
        raise ConfigError(f"{field}: {value!r} is not allowed; must be {allowed}")


def at_least(field: str, value: float, least: float) -> None:
    """`require` that it is no less."""
    require(field, value, value >= least, f"at least {least}")


def one_of(field: str, value: str, allowed: Collection[str]) -> None:
    """`require` that it is one of these names."""
    require(field, value, value in allowed, f"one of {', '.join(allowed)}")


def inside_unit(field: str, value: float) -> None:
    """`require` that it is in (0, 1)."""
    require(field, value, 0 < value < 1, "inside (0, 1)")


def registered(field: str, name: str, registry: Registry[Any]) -> Any:
    """What a registry finds by the name, such as "lenet" or "my_nets:MyNet".

    Raises:
      ConfigError: naming the field, if it finds nothing.
    """
    try:
        return registry.find(name)
    except UnknownName as error:
        raise ConfigError(f"{field}: {error}") from None
