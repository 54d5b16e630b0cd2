"""Requirements: checks of a field's value, whose errors name the field."""

from collections.abc import Callable, Collection
from typing import Any

from lth_jax.errors import UserError, did_you_mean
from lth_jax.registry import Registry, UnknownName

_RANGES: dict[str, Callable[[float], bool]] = {
    "above 0": lambda x: 0 < x < float("inf"),
    "inside (0, 1)": lambda x: 0 < x < 1,
    "inside [0, 1)": lambda x: 0 <= x < 1,
}


class ConfigError(UserError):
    """A field's value that is not allowed."""


def require(field: str, value: Any, ok: bool, allowed: str) -> None:
    """Raises a `ConfigError` with the value and what is allowed, unless it is ok."""
    if not ok:
        raise ConfigError(f"{field}: {value!r} is not allowed; must be {allowed}")


class Checks:
    """Checks one group's fields, by name; raises a `ConfigError` on a wrong value.

    None passes, and the items of a tuple are checked one by one, except by `require`.
    """

    def __init__(self, group: object, prefix: str = ""):
        self._group = group
        self._prefix = prefix

    def require(self, name: str, ok: bool, allowed: str) -> None:
        """Checks that the field is ok, as the caller decided."""
        require(f"{self._prefix}{name}", getattr(self._group, name), ok, allowed)

    def at_least(self, least: float, *names: str) -> None:
        """Checks that each field is at least `least`."""
        self._each(names, lambda x: x >= least, f"at least {least}")

    def are(self, allowed: str, *names: str) -> None:
        """Checks that each field is in the range of `_RANGES` that `allowed` names."""
        self._each(names, _RANGES[allowed], allowed)

    def one_of(self, name: str, allowed: Collection[str]) -> None:
        """Checks that the field is one of these names."""
        value = getattr(self._group, name)
        near = did_you_mean(value, allowed) if isinstance(value, str) else ""
        one = f"one of {', '.join(allowed)}{near}"
        self._each([name], lambda x: x in allowed, one)

    def registered(self, name: str, registry: Registry[Any]) -> Any:
        """Returns what a registry finds by the field's value, such as "my_nets:MyNet"."""
        try:
            return registry.find(getattr(self._group, name))
        except UnknownName as error:
            raise ConfigError(f"{self._prefix}{name}: {error}") from None

    def _each(
        self, names: Collection[str], is_ok: Callable[[Any], bool], allowed: str
    ) -> None:
        for name in names:
            value, field = getattr(self._group, name), f"{self._prefix}{name}"
            for item in value if isinstance(value, tuple) else (value,):
                require(field, item, item is None or is_ok(item), allowed)
