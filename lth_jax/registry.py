"""Registry: things of one kind by name, the package's own and anyone's."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from lth_jax.errors import UserError, did_you_mean

T = TypeVar("T")
_GIVEN = "given"


class UnknownName(UserError, ValueError):
    """A name that finds nothing; the text begins after the name of what was asked."""


def callables(needs: str, kind: Callable[[Any], Any] = lambda found: found) -> Any:
    """Makes a registry's `made` of what can be called, given to its kind if not of it."""

    def made(found: Any) -> Any:
        if isinstance(kind, type) and isinstance(found, kind):
            return found
        if not callable(found):
            raise TypeError(needs)
        return kind(found)

    return made


class Registry(Mapping[str, T], Generic[T]):
    """The package's own things of one kind by name; `find` also imports others.

    Args:
      kind: what they are, in one word, such as "model".
      own: by name.
      made: what was imported to a thing of this kind, such as a plain function to a
        `Criterion`; raises TypeError, saying what is wanted, where it cannot be one.

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
        """The thing of a name, or of `package.module:name`, which is imported.

        Raises:
          UnknownName: with the names that there are, or what could not be imported.
        """
        known = self._given | self._own
        if name in known:
            return known[name]
        module, colon, attribute = name.partition(":")
        if module == _GIVEN:
            raise UnknownName(
                f"{name!r} was given as an object; only a call of run_study that gives it"
                " again has it"
            )
        if not (colon and module and attribute):
            raise UnknownName(self._unknown(name))
        try:
            found: Any = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError, ValueError) as error:
            raise UnknownName(f"{name!r} cannot be imported ({error})") from None
        return self._of_kind(name, found)

    def give(self, thing: Any, name: str | None = None) -> str:
        """Names an object, so that `find` finds it in this process.

        A string is a name already; the default one is that of the class or function.

        Returns:
          `package.module:name` of a class or function that can be imported, which other
          processes find too; otherwise a name that tells what was given.

        Raises:
          UnknownName: if it is no thing of this kind.
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
