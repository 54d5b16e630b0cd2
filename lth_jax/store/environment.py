"""Environment: the machine, the software and the data of a study."""

import dataclasses
import importlib.metadata
import itertools
import json
import logging
import pathlib
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from lth_jax.config import StudyConfig
from lth_jax.store import own_parts
from lth_jax.store.files import write_sealed
from lth_jax.store.workdir import Workdir, WorkdirError, dotted, read_environment
from lth_jax.version import VERSION

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
# JAX's settings. The first ones decide which numbers are drawn, and not only last bits.
_STREAMS = ("jax_threefry_partitionable", "jax_default_prng_impl", "jax_enable_x64")
_SETTINGS = (*_STREAMS, "jax_default_matmul_precision")
# What shards must share, by dotted name, for their numbers to belong to one study.
DECISIVE = ("data_note", *(f"settings.{name}" for name in _STREAMS))
_log = logging.getLogger(__name__)


def note(
    workdir: Workdir, config: StudyConfig, data_note: str | None, is_other: bool
) -> None:
    """Writes the study's environment; warns if a resumed study began in another.

    The differences are added to the list "elsewhere". `is_other` says that the noted
    command no longer makes the whole study.
    """
    now = {
        **software(),
        "machine": platform.machine(),
        "backend": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
        "num_devices": jax.device_count(),
        "num_processes": jax.process_count(),
        "mesh": dataclasses.asdict(config.mesh),
        "data_note": data_note,
        "settings": _settings(),
        "own_parts": own_parts.digests(config),
    }
    noted = _noted(workdir)
    written = noted or now
    # Of an extended study, also those of its new arms. None is forgotten: where there is
    # no source to read, the digest stays.
    now["own_parts"] = {**written.get("own_parts", {}), **now["own_parts"]}
    written = {**written, "own_parts": now["own_parts"]}
    before, after = {"num_processes": 1, **dotted(written)}, dotted(now)
    other = {name: own for name, own in after.items() if own != before.get(name)}
    if other:
        _log.warning(
            "the study began elsewhere: %s; what is still to run may differ from an"
            " uninterrupted run in the last bits, and masks where scores are as close",
            "; ".join(f"{n} was {before.get(n)}, is {own}" for n, own in other.items()),
        )
        places = written.get("elsewhere", [])
        written = {**written, "elsewhere": [*places, *([other] * (other not in places))]}
    if is_other or not noted:
        written = {**written, "command": sys.argv}
    if written != noted:
        text = json.dumps(written, indent=2) + "\n"
        write_sealed(workdir.environment, text.encode())


def check_same(workdir: Workdir, data_note: str | None) -> None:
    """Checks that a study that began has this data note and JAX's random numbers.

    Raises:
      WorkdirError: if its data (see `Source`) or its random numbers differ.
    """
    noted = _noted(workdir)
    if not noted:
        return
    if data_note != noted.get("data_note"):
        raise WorkdirError(
            f"workdir: {workdir.root} was made with other data (data_note:"
            f" {noted.get('data_note')!r} there, {data_note!r} now); choose another with"
            " --workdir"
        )
    now = _settings()
    theirs = {**now, **noted.get("settings", {})}
    if changed := [name for name in _STREAMS if theirs[name] != now[name]]:
        told = "; ".join(f"{n}: {theirs[n]!r} there, {now[n]!r} now" for n in changed)
        raise WorkdirError(
            f"workdir: {workdir.root} was made with other random numbers ({told}); set"
            " JAX as it was there, or choose another with --workdir"
        )


def values(noted: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Returns the distinct values that the notes have, by dotted name."""
    found: dict[str, list[Any]] = {}
    for name, value in itertools.chain.from_iterable(own.items() for own in noted):
        there = found.setdefault(name, [])
        if value not in there:
            there.append(value)
    return found


def _noted(workdir: Workdir) -> dict[str, Any]:
    """The noted environment; {} if none was noted, or the note is lost."""
    return read_environment(workdir) if workdir.environment.exists() else {}


def _settings() -> dict[str, Any]:
    return {name: getattr(jax.config, name) for name in _SETTINGS}


def of_computing() -> dict[str, Any]:
    """Returns all that must be equal in processes which train together."""
    return {**software(), "settings": _settings()}


def software() -> dict[str, Any]:
    """Returns the versions of what computes, and the commit of the package's checkout."""
    return {
        "versions": {"lth_jax": VERSION}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
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
