"""Analyses: what they found of a study, one JSON file each, beside its SHA-256."""

import json
import pathlib
from typing import Any

from lth_jax.store.files import DamagedFile, read_sealed, write_sealed

Found = dict[str, Any]


def write(path: pathlib.Path, found: Found) -> None:
    """Writes what an analysis found, plain dicts, lists and finite numbers."""
    path.parent.mkdir(exist_ok=True)
    written = json.dumps(found, indent=1, allow_nan=False) + "\n"
    write_sealed(path, written.encode())


def read(path: pathlib.Path) -> Found:
    """What an analysis found.

    Raises:
      FileNotFoundError: if it was not made.
      DamagedFile: if the file is not what was written.
    """
    try:
        found = json.loads(read_sealed(path))
    except ValueError as error:
        raise DamagedFile(f"{path}: damaged ({error})") from None
    if not isinstance(found, dict):
        raise DamagedFile(f"{path}: damaged; must be an object")
    return found
