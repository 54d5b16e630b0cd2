"""Registry: finds objects of one kind by name, the package's own or the user's."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from lth_jax.errors import UserError, did_you_mean

T = TypeVar("T")
_GIVEN = "given"
_PASSED: dict[str, dict[str, Any]] = {}  # all objects that were passed, by name and kind


class UnknownName(UserError, ValueError):
    """The registry has no such name; the caller puts the field before the text."""


def objects_named(name: str) -> list[Any]:
    """Returns the objects that were passed under a name, one a kind at most.

    If there are none, it returns what `package.module:name` is, or nothing.
    """
    if passed := _PASSED.get(name):
        return list(passed.values())
    try:
        return [_imported(name)]
    except UnknownName:
        return []


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        if not (module and attribute):
            raise ValueError("must be package.module:name")
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownName(f"{name!r} cannot be imported ({error})") from None
    return found


def callables(needs: str, kind: Callable[[Any], Any] = lambda found: found) -> Any:
    """Returns a registry's `made` for callables; it wraps them in `kind` if need be."""

    def made(found: Any) -> Any:
        if isinstance(kind, type) and isinstance(found, kind):
            return found
        if not callable(found):
            raise TypeError(needs)
        return kind(found)

    return made


class Registry(Mapping[str, T], Generic[T]):
    """The package's own objects of one kind by name; `find` also imports others.

    Args:
      kind: what they are, in one word, such as "model".
      own: the package's own objects, by name.
      made: turns an imported object into one of this kind, such as a plain function into
        a `Criterion`. If it cannot, it raises a TypeError that says what is wanted.

    Example: `MODELS.find("lenet")`, `MODELS.find("my_package.my_nets:MyNet")`.
    """

    def __init__(
        self, kind: str, own: Mapping[str, T], made: Callable[[Any], T] = lambda x: x
    ):
        self.kind = kind
        self._own = dict(own)
        self._made = made
        self._given: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        return self._own[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)

    def find(self, name: str) -> T:
        """Returns the object of a name, or imports it from `package.module:name`.

        Raises:
          UnknownName: if there is none; it lists the names, or says why the import
            failed.
        """
        known = self._given | self._own
        if name in known:
            return known[name]
        module, colon, attribute = name.partition(":")
        if module == _GIVEN:
            raise UnknownName(
                f"{name!r} was passed to run_study as an object, and only run_study can"
                " use it, if it gets it again; commands need a name, package.module:name"
            )
        if not (colon and module and attribute):
            raise UnknownName(self._unknown(name))
        return self._of_kind(name, _imported(name))

    def give(self, thing: Any, name: str | None = None) -> str:
        """Names an object so that `find` finds it in this process.

        A string is already a name. The default name is that of the class or function.

        Returns:
          `package.module:name` of a class or function that can be imported, which other
          processes find too. Otherwise a name that describes the object.

        Raises:
          UnknownName: if it is not of this kind.
        """
        if isinstance(thing, str):
            return thing
        own = getattr(thing, "__qualname__", "")
        module = getattr(thing, "__module__", "")
        if name is None and own and module != "__main__" and "<" not in own:
            return f"{module}:{own}"
        own = own.rpartition(".")[2] or type(thing).__name__
        name = f"{_GIVEN}:{name or own}"
        self._given[name] = self._of_kind(name, thing)
        _PASSED.setdefault(name, {})[self.kind] = thing
        return name

    def _of_kind(self, name: str, found: Any) -> T:
        try:
            return self._made(found)
        except TypeError as error:
            raise UnknownName(f"{name!r} is no {self.kind} ({error})") from None

    def _unknown(self, name: str) -> str:
        return (
            f"{name!r} is not allowed; must be one of {', '.join(self._own)}, or"
            f" package.module:name{did_you_mean(name, self._own)}"
        )
