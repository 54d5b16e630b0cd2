"""Requirements: what makes a field's value an error, told by the field's name."""

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
    """Raises a `ConfigError` of the value, saying what is allowed, unless it is ok."""
    if not ok:
        raise ConfigError(f"{field}: {value!r} is not allowed; must be {allowed}")


class Checks:
    """Of the fields of one group, by name; each raises a `ConfigError` of a wrong value.

    None passes, and the items of a tuple are checked one by one, except by `require`.
    """

    def __init__(self, group: object, prefix: str = ""):
        self._group = group
        self._prefix = prefix

    def require(self, name: str, ok: bool, allowed: str) -> None:
        """That the field is ok, which the caller found out."""
        require(f"{self._prefix}{name}", getattr(self._group, name), ok, allowed)

    def at_least(self, least: float, *names: str) -> None:
        """That they are no less."""
        self._each(names, lambda x: x >= least, f"at least {least}")

    def are(self, allowed: str, *names: str) -> None:
        """That they are in one of `_RANGES`."""
        self._each(names, _RANGES[allowed], allowed)

    def one_of(self, name: str, allowed: Collection[str]) -> None:
        """That it is one of these names."""
        value = getattr(self._group, name)
        near = did_you_mean(value, allowed) if isinstance(value, str) else ""
        one = f"one of {', '.join(allowed)}{near}"
        self._each([name], lambda x: x in allowed, one)

    def registered(self, name: str, registry: Registry[Any]) -> Any:
        """What a registry finds by it, such as "lenet" or "my_nets:MyNet"."""
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
