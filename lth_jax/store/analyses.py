"""Analyses: the findings of each analysis of a study, a JSON file beside its SHA-256."""

import json
import pathlib
from typing import Any

from lth_jax.store.files import DamagedFile, read_sealed, write_sealed

Found = dict[str, Any]


def write(path: pathlib.Path, found: Found) -> None:
    """Writes an analysis's findings: plain dicts, lists and finite numbers."""
    path.parent.mkdir(exist_ok=True)
    written = json.dumps(found, indent=1, allow_nan=False) + "\n"
    write_sealed(path, written.encode())


def read(path: pathlib.Path) -> Found:
    """Returns an analysis's findings.

    Raises:
      FileNotFoundError: if the analysis was not made.
      DamagedFile: if the file is not as it was written.
    """
    try:
        found = json.loads(read_sealed(path))
    except ValueError as error:
        raise DamagedFile(f"{path}: damaged ({error})") from None
    if not isinstance(found, dict):
        raise DamagedFile(f"{path}: damaged; must be an object")
    return found
