"""Checkpoints: pytrees that orbax writes, whole or not at all, with checksums.

Orbax restores flipped bytes without a warning. Every checkpoint therefore holds the
SHA-256 of each of its files.
"""

import errno
import hashlib
import json
import logging
import os
import pathlib
import re
import resource
import shutil
from typing import Any

import jax
import orbax.checkpoint as ocp

from lth_jax import devices
from lth_jax.store.files import whole

_MANIFEST = "sha256.json"
_MOST_IN_MEMORY = 4
_OVERHEAD_BYTES = 2**20  # an upper bound on what orbax writes beside the arrays
_log = logging.getLogger(__name__)


class DamagedCheckpoint(Exception):
    """A checkpoint whose files are not as they were written."""


@devices.by_first
def save(path: pathlib.Path, tree: Any) -> None:
    """Writes a pytree of arrays, whole or not at all; replaces what is at the path.

    Raises:
      WriteError: if the checkpoint cannot be written.
    """
    tree = jax.device_get(tree)
    num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
    with whole(path) as unfinished:
        _check_room(unfinished.parent, num_bytes)
        try:
            with _checkpointer() as checkpointer:
                args = ocp.args.StandardSave(tree)
                checkpointer.save(unfinished.absolute(), args=args)
        except (ValueError, RuntimeError) as error:  # tensorstore's, at a limit or quota
            code = re.search(r"os_error_code='(\d+)'", str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from error
        (unfinished / _MANIFEST).write_bytes(
            json.dumps(_digests(unfinished), indent=1).encode()
        )
        shutil.rmtree(path, ignore_errors=True)


def load(path: pathlib.Path, like: Any) -> Any:
    """Reads a pytree back, as NumPy arrays.

    `like` has the same structure; its leaves are arrays or `ShapeDtypeStruct`s.

    Raises:
      FileNotFoundError: if there is no checkpoint.
      DamagedCheckpoint: if a file changed, is missing, or holds another structure.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        recorded = json.loads((path / _MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise DamagedCheckpoint(f"{path}: no readable {_MANIFEST}") from error
    if (found := _digests(path)) != recorded:
        changed = [n for n in recorded if found.get(n) != recorded[n]]
        raise DamagedCheckpoint(f"{path}: damaged in {', '.join(changed) or 'its files'}")
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), like)
    args = ocp.args.StandardRestore(abstract)
    try:
        with _checkpointer() as checkpointer:
            return checkpointer.restore(path.absolute(), args=args)
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedCheckpoint(f"{path}: of another structure ({error})") from error


@devices.by_first
def load_or_none(path: pathlib.Path, like: Any) -> Any:
    """As `load`; returns None if there is none, or with a warning if it is damaged."""
    try:
        return load(path, like)
    except FileNotFoundError:
        return None
    except DamagedCheckpoint as error:
        _log.warning("%s; making it again from what is good", error)
        return None


class Newest:
    """A folder of checkpoints by step. It keeps the newest two: one may be damaged."""

    def __init__(self, folder: pathlib.Path):
        self._folder = folder

    @devices.by_first
    def save(self, step: int, tree: Any) -> None:
        """Writes the checkpoint of a step, and removes the third newest."""
        self._folder.mkdir(exist_ok=True)
        save(self._folder / f"step_{step:09d}", tree)
        for old in self._steps()[:-2]:
            shutil.rmtree(old)

    @devices.by_first
    def newest(self, like: Any) -> Any:
        """Returns the newest whole checkpoint as NumPy arrays; None if there is none."""
        found = (load_or_none(path, like) for path in reversed(self._steps()))
        return next((tree for tree in found if tree is not None), None)

    @devices.by_first
    def clear(self) -> None:
        """Removes all checkpoints."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _steps(self) -> list[pathlib.Path]:
        return sorted(self._folder.glob("step_?????????"))  # no unfinished one


class Kept:
    """A folder of checkpoints by name; the last few are also kept in memory."""

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        self._in_memory: dict[str, Any] = {}  # the one last asked for comes last

    def find(self, name: str, like: Any) -> Any:
        """Returns the tree of a name, with the structure of `like`; as `load_or_none`."""
        tree = self._in_memory.get(name)
        if tree is None:
            tree = load_or_none(self._folder / name, like)
        if tree is not None:
            self._remember(name, tree)
        return tree

    def keep(self, name: str, tree: Any) -> None:
        """Writes a tree, whole or not at all; replaces one of the same name."""
        tree = devices.readable(tree)
        save(self._folder / name, tree)
        self._remember(name, tree)

    def _remember(self, name: str, tree: Any) -> None:
        self._in_memory.pop(name, None)
        self._in_memory[name] = tree
        if len(self._in_memory) > _MOST_IN_MEMORY:
            del self._in_memory[next(iter(self._in_memory))]


def _checkpointer() -> ocp.Checkpointer:
    """For the first process alone: it has all arrays on the host and alone writes."""
    alone = ocp.options.MultiprocessingOptions(
        primary_host=0, active_processes={0}, barrier_sync_key_prefix="first"
    )
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _check_room(folder: pathlib.Path, num_bytes: int) -> None:
    """Raises an `OSError` early: orbax's threads would print it in many lines."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    allowed = {errno.ENOSPC: shutil.disk_usage(folder).free - _OVERHEAD_BYTES}
    if limit != resource.RLIM_INFINITY:
        allowed[errno.EFBIG] = limit  # one file may hold everything
    for code, most in allowed.items():
        if num_bytes > most:
            raise OSError(code, os.strerror(code))


def _digests(path: pathlib.Path) -> dict[str, str]:
    return {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != _MANIFEST
    }
