"""Environment: where a study runs, with what software and data."""

import importlib.metadata
import json
import logging
import pathlib
import platform
import subprocess
import sys
from typing import Any

import jax

from lth_jax.store.files import whole
from lth_jax.store.workdir import Workdir, WorkdirError, dotted, read_environment

_PACKAGES = ("lth_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
_log = logging.getLogger(__name__)


def note(workdir: Workdir, data_note: str | None, is_other: bool) -> None:
    """Writes where the study runs; warns where a resumed one ran elsewhere.

    `is_other` says that another command than the one noted makes all of the study.
    """
    now = {
        **software(),
        "machine": platform.machine(),
        "backend": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
        "num_devices": jax.device_count(),
        "data_note": data_note,
    }
    noted = read_environment(workdir)
    before, after = dotted(noted or now), dotted(now)
    changed = [name for name in after if after[name] != before.get(name)]
    if changed:
        _log.warning(
            "the study began elsewhere: %s; what is still to run may differ from an"
            " uninterrupted run in the last bits",
            "; ".join(f"{n} was {before.get(n)}, is {after[n]}" for n in changed),
        )
    if is_other or not noted:
        with whole(workdir.environment) as path:
            written = {**(noted or now), "command": sys.argv}
            path.write_text(json.dumps(written, indent=2) + "\n")


def check_same_data(workdir: Workdir, data_note: str | None) -> None:
    """Checks that a study, if it began, did so with data of this note (see `Source`).

    Raises:
      WorkdirError: if it has others.
    """
    theirs = read_environment(workdir).get("data_note")
    if workdir.environment.exists() and data_note != theirs:
        raise WorkdirError(
            f"workdir: {workdir.root} was made with other data (data_note: {theirs!r}"
            f" there, {data_note!r} now); choose another with --workdir"
        )


def software() -> dict[str, Any]:
    """Versions of what computes, and the commit of this package's checkout."""
    return {
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The commit of the package's checkout; None where git does not track it."""
    here = pathlib.Path(__file__)
    git = ["git", "-C", str(here.parent)]
    describe = ["describe", "--always", "--exclude=*", "--abbrev=40", "--dirty"]
    try:
        for arguments in (["ls-files", "--error-unmatch", here.name], describe):
            found = subprocess.run(
                git + arguments, capture_output=True, text=True, check=True
            )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
