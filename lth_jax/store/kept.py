"""Kept: trees by name, the last few in memory and all of them as checkpoints."""

import pathlib
from typing import Any

from lth_jax.store import checkpoints

_MOST_IN_MEMORY = 4


class Kept:
    """What was kept in a folder; a damaged checkpoint is as one that is not there."""

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        self._in_memory: dict[str, Any] = {}  # the one asked for last at the end

    def find(self, name: str, like: Any) -> Any:
        """The tree of a name; None, and a warning if it is damaged, if there is none.

        Args:
          name: as given to `keep`.
          like: a pytree of arrays or `ShapeDtypeStruct`s of the same structure.
        """
        if name not in self._in_memory:
            found = checkpoints.load_or_none(self._folder / name, like)
            if found is None:
                return None
            self._in_memory[name] = found
        self._remember(name, self._in_memory[name])
        return self._in_memory[name]

    def keep(self, name: str, tree: Any) -> None:
        """Writes a tree, whole or not at all, over one of the same name."""
        checkpoints.save(self._folder / name, tree)
        self._remember(name, tree)

    def _remember(self, name: str, tree: Any) -> None:
        self._in_memory.pop(name, None)
        self._in_memory[name] = tree
        if len(self._in_memory) > _MOST_IN_MEMORY:
            del self._in_memory[next(iter(self._in_memory))]
