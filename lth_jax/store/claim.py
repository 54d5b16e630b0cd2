"""Claim: whose a workdir is, and what may go on in it."""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from lth_jax import devices
from lth_jax.config import StudyConfig
from lth_jax.errors import Exit
from lth_jax.store import environment
from lth_jax.store.files import remove_unfinished, write_sealed
from lth_jax.store.lock import Held, locked
from lth_jax.store.workdir import Workdir, WorkdirError, differing, read_config

# How names of fields begin that are no part of what the study is: where the bytes are
# read from, what can be watched, how many nets share a call or a device, how results are
# judged.
MAY_DIFFER = ("data.raw_dir", "log.", "members_per_call", "mesh.", "verdict.")


class WorkdirInUse(WorkdirError):
    """A workdir that another process works in."""

    exit_code = Exit.TRY_AGAIN


@contextlib.contextmanager
def opened(
    root: pathlib.Path, config: StudyConfig, data_note: str | None = None
) -> Iterator[Workdir]:
    """Makes the workdir, or goes on in one of the same study; locked meanwhile.

    `store.lock` says what the lock promises where hosts share a file system.

    A study of more levels or arms than it noted takes its place. `data_note` is that of
    the data's `Source`.

    Raises:
      WorkdirInUse: naming who works there.
      WorkdirError: if it cannot be written, is no study's, or is that of another study
        (naming the fields that differ) or of other data.
    """
    with contextlib.ExitStack() as stack:
        claimed = _claimed(root, config, data_note)
        # Of several processes the first has the lock, and tells the others.
        yield devices.from_first(lambda: stack.enter_context(claimed))


@contextlib.contextmanager
def _claimed(
    root: pathlib.Path, config: StudyConfig, data_note: str | None
) -> Iterator[Workdir]:
    workdir = Workdir(root)
    check(workdir, config)
    with contextlib.ExitStack() as stack:
        try:
            root.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(root / ".lock"))
        except Held as held:
            raise WorkdirInUse(
                f"workdir: {root} is in use by {held}; wait, or choose another with"
                " --workdir"
            ) from None
        except OSError as error:
            raise WorkdirError(f"workdir: {root} cannot be written ({error})") from None
        check(workdir, config)  # again: another process may have been faster
        environment.check_same(workdir, data_note)
        is_other = not workdir.config.exists() or bool(_differences(workdir, config))
        if is_other:
            # First of all: it marks a study's folder.
            written = json.dumps(dataclasses.asdict(config), indent=2) + "\n"
            write_sealed(workdir.config, written.encode())
        for folder in workdir.folders:
            folder.mkdir(exist_ok=True)
            remove_unfinished(folder)
        environment.note(workdir, config, data_note, is_other)
        yield workdir


def check(workdir: Workdir, config: StudyConfig) -> None:
    """Checks that a workdir can be this study's; writes nothing.

    Raises:
      WorkdirError: if it belongs to another study, or is no study's.
    """
    root = workdir.root
    if workdir.config.exists():
        differing = [
            f"{name}: {theirs!r} there, {ours!r} now"
            for name, (theirs, ours) in _differences(workdir, config).items()
            if not _extends(name, theirs, ours)
        ]
        if differing:
            raise WorkdirError(
                f"workdir: {root} was made with another config ({'; '.join(differing)});"
                " choose another with --workdir"
            )
    elif root.exists() and not root.is_dir():
        raise WorkdirError(f"workdir: {root} is not a folder")
    elif root.exists() and any(not p.name.startswith(".") for p in root.iterdir()):
        raise WorkdirError(
            f"workdir: {root} is not empty and holds no study; choose another with"
            " --workdir"
        )


def _differences(workdir: Workdir, config: StudyConfig) -> dict[str, tuple[Any, Any]]:
    """What a study noted and what it is now, by the fields that make another of it."""
    # Both of today's fields: an older study lacks some, which have their defaults.
    return differing(read_config(workdir), config, MAY_DIFFER)


def _extends(name: str, theirs: Any, ours: Any) -> bool:
    """Whether all that a study did with a field's value is part of another's."""
    if name == "num_levels":
        return bool(theirs < ours)
    if name == "arms":
        return set(theirs) < set(ours)
    if name in ("prune.densities", "prune.n_of_m"):  # one a level; none is another study
        return bool(theirs) and ours[: len(theirs)] == theirs
    return False
