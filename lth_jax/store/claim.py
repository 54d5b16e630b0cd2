"""Claim: which study a workdir belongs to, and which may continue in it."""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from lth_jax import devices
from lth_jax.config import StudyConfig
from lth_jax.errors import Exit
from lth_jax.store import environment, own_parts
from lth_jax.store.files import remove_unfinished, write_sealed
from lth_jax.store.lock import Held, locked
from lth_jax.store.workdir import Workdir, WorkdirError, differing, read_config

# Prefixes of the fields that may differ between runs of one study. They say where the raw
# data lie, what is logged, how many nets share a call or a device, and how results are
# judged.
MAY_DIFFER = ("data.raw_dir", "log.", "members_per_call", "mesh.", "verdict.")


class WorkdirInUse(WorkdirError):
    """A workdir that another process works in."""

    exit_code = Exit.TRY_AGAIN


@contextlib.contextmanager
def opened(
    root: pathlib.Path, config: StudyConfig, data_note: str | None = None
) -> Iterator[Workdir]:
    """Creates the workdir, or opens one of the same study, and holds its lock.

    `store.lock` says what the lock promises where hosts share a file system.

    A study with more levels or arms replaces the config noted there. `data_note` is the
    note of the data's `Source`.

    Raises:
      WorkdirInUse: if another process works there; the error names it.
      WorkdirError: if the workdir cannot be written, is no study's, or belongs to another
        study (the error names the fields that differ) or to other data.
    """
    with contextlib.ExitStack() as stack:
        claimed = _claimed(root, config, data_note)
        # The first of several processes takes the lock and tells the others.
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
        check(workdir, config)  # again: another process may have come first
        environment.check_same(workdir, data_note)
        is_other = not workdir.config.exists() or bool(_differences(workdir, config))
        if is_other:
            # Written first: it marks a study's folder.
            written = json.dumps(dataclasses.asdict(config), indent=2) + "\n"
            write_sealed(workdir.config, written.encode())
        for folder in workdir.folders:
            folder.mkdir(exist_ok=True)
            remove_unfinished(folder)
        environment.note(workdir, config, data_note, is_other)
        yield workdir


def check(workdir: Workdir, config: StudyConfig) -> None:
    """Checks that a workdir can belong to this study; writes nothing.

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
        own_parts.check(workdir, config)
    elif root.exists() and not root.is_dir():
        raise WorkdirError(f"workdir: {root} is not a folder")
    elif root.exists() and any(not p.name.startswith(".") for p in root.iterdir()):
        raise WorkdirError(
            f"workdir: {root} is not empty and holds no study; choose another with"
            " --workdir"
        )


def _differences(workdir: Workdir, config: StudyConfig) -> dict[str, tuple[Any, Any]]:
    """The noted and the present value of each field that makes it another study."""
    # Both configs have all present fields: those that an older study lacks are at their
    # defaults.
    return differing(read_config(workdir), config, MAY_DIFFER)


def _extends(name: str, theirs: Any, ours: Any) -> bool:
    """Whether results under the value `theirs` are part of those under `ours`."""
    if name == "num_levels":
        return bool(theirs < ours)
    if name == "arms":
        return set(theirs) < set(ours)
    if name in ("prune.densities", "prune.n_of_m"):  # a value a level; () differs
        return bool(theirs) and ours[: len(theirs)] == theirs
    return False
