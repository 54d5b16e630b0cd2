"""Checkpoints: pytrees on disk by orbax, whole or not at all, and checked.

Orbax restores flipped bytes without a word, so every checkpoint carries the SHA-256
of each of its files.
"""

import hashlib
import json
import logging
import pathlib
import shutil
from typing import Any

import jax
import orbax.checkpoint as ocp

_MANIFEST = "sha256.json"
_log = logging.getLogger(__name__)


class DamagedCheckpoint(Exception):
    """A checkpoint whose files are not what was written."""


def save(path: pathlib.Path, tree: Any) -> None:
    """Writes a pytree of arrays; the path appears only when all of it is there.

    A checkpoint already at the path is replaced.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
        args = ocp.args.StandardSave(jax.device_get(tree))
        checkpointer.save(unfinished.absolute(), args=args)
    (unfinished / _MANIFEST).write_text(json.dumps(_digests(unfinished), indent=1))
    shutil.rmtree(path, ignore_errors=True)
    unfinished.rename(path)


def load(path: pathlib.Path, like: Any) -> Any:
    """Reads a pytree back, as NumPy arrays.

    Args:
      path: as given to `save`.
      like: a pytree of arrays or `ShapeDtypeStruct`s of the same structure.

    Raises:
      FileNotFoundError: if there is no checkpoint.
      DamagedCheckpoint: if a file changed, is missing, or holds another structure.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        recorded = json.loads((path / _MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise DamagedCheckpoint(f"{path}: no readable {_MANIFEST}") from error
    found = _digests(path)
    if found != recorded:
        changed = [n for n in recorded if found.get(n) != recorded[n]]
        raise DamagedCheckpoint(f"{path}: damaged in {', '.join(changed) or 'its files'}")
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), like)
    try:
        with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
            return checkpointer.restore(
                path.absolute(), args=ocp.args.StandardRestore(abstract)
            )
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedCheckpoint(f"{path}: of another structure ({error})") from error


def load_or_none(path: pathlib.Path, like: Any) -> Any:
    """As `load`; None if there is none, or, with a warning, if it is damaged."""
    try:
        return load(path, like)
    except FileNotFoundError:
        return None
    except DamagedCheckpoint as error:
        _log.warning("%s; making it again from what is good", error)
        return None


class Newest:
    """A folder of checkpoints by step: the newest two, so that one may be damaged."""

    def __init__(self, folder: pathlib.Path):
        self._folder = folder

    def save(self, step: int, tree: Any) -> None:
        """Writes the checkpoint of a step, and removes the third newest."""
        self._folder.mkdir(exist_ok=True)
        save(self._folder / f"step_{step:09d}", tree)
        for old in self._steps()[:-2]:
            shutil.rmtree(old)

    def newest(self, like: Any) -> Any:
        """The newest that is whole; None if there is none."""
        for path in reversed(self._steps()):
            found = load_or_none(path, like)
            if found is not None:
                return found
        return None

    def clear(self) -> None:
        """Removes all of them."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _steps(self) -> list[pathlib.Path]:
        paths = self._folder.glob("step_*") if self._folder.exists() else ()
        return sorted(p for p in paths if not p.suffix)


def _digests(path: pathlib.Path) -> dict[str, str]:
    return {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != _MANIFEST
    }
