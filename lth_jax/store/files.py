"""Files and folders that appear whole or not at all, and tell when they are damaged."""

import contextlib
import errno
import hashlib
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

from lth_jax.errors import UserError

_UNFINISHED = ".unfinished-"
_LONGEST_WRITE_SECONDS = 3600


class WriteError(UserError):
    """A file that cannot be written, as on a full disk."""


class DamagedFile(UserError):
    """A file whose bytes are not those that were written."""


@contextlib.contextmanager
def whole(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a path to write a file or folder to; on success it moves to `path`.

    It has the same name, in a folder of its own, so that writers at once do not meet.
    All is on the disk before it moves, so a power cut leaves the old or the new.

    Raises:
      WriteError: if the disk takes no more, or refuses.
    """
    try:
        _remove_old(path.parent)
        own = pathlib.Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=path.parent))
        try:
            unfinished = own / path.name
            yield unfinished
            for written in (*unfinished.rglob("*"), unfinished):
                _sync(written)
            os.replace(unfinished, path)
            _sync(path.parent)
        finally:
            shutil.rmtree(own, ignore_errors=True)
    except OSError as error:
        raise WriteError(
            f"{path}: cannot be written ({error.strerror or error}); what was written"
            " before is kept"
        ) from error


def remove_unfinished(folder: pathlib.Path) -> None:
    """Removes what writers that were killed left in a folder; nobody may write there."""
    for left in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)


def write_sealed(path: pathlib.Path, content: bytes) -> None:
    """Writes a file, and before it a file of its SHA-256, which `sha256sum -c` reads.

    A kill between the two leaves an old file that is damaged, or none; never a new one
    without its SHA-256.
    """
    line = _digest_line(path, content)
    for target, written in ((_seal(path), line), (path, content)):
        with whole(target) as unfinished:
            unfinished.write_bytes(written)


def read_sealed(path: pathlib.Path) -> bytes:
    """What a file holds, as `write_sealed` wrote it.

    One without a SHA-256 was copied elsewhere alone, or written before there were any.

    Raises:
      FileNotFoundError: if there is none.
      DamagedFile: if it is not what was written, or cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedFile(f"{path}: cannot be read ({error.strerror})") from None
    seal = _seal(path)
    try:
        is_damaged = seal.exists() and seal.read_bytes() != _digest_line(path, content)
    except OSError as error:
        raise DamagedFile(f"{seal}: cannot be read ({error.strerror})") from None
    if is_damaged:
        raise DamagedFile(f"{path}: damaged, or {seal.name} beside it is")
    return content


def written(folder: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    """The files of a folder that were written, by name; also those that are gone since.

    A SHA-256 alone tells of these. So it does for an instant, before a file is written.
    """
    seals = folder.glob(_seal(pathlib.Path(pattern)).name)
    there = {seal.with_suffix("") for seal in seals} | {*folder.glob(pattern)}
    return sorted(there)


def is_sealed(path: pathlib.Path) -> bool:
    """Whether a file is there, as it was written."""
    try:
        read_sealed(path)
    except (FileNotFoundError, DamagedFile):
        return False
    return True


def is_lost(path: pathlib.Path) -> bool:
    """Whether a file that was written is damaged or gone, as its SHA-256 tells."""
    return (path.exists() or _seal(path).exists()) and not is_sealed(path)


def noted_digest(path: pathlib.Path) -> str:
    """A file's SHA-256: as noted beside it, unchecked; of a file without one its own."""
    seal = _seal(path)
    if seal.exists():
        return seal.read_text(encoding="utf-8").partition(" ")[0]
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _seal(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f"{path.name}.sha256")


def _digest_line(path: pathlib.Path, content: bytes) -> bytes:
    return f"{hashlib.sha256(content).hexdigest()}  {path.name}\n".encode()


def _sync(path: pathlib.Path) -> None:
    """Waits until the disk has a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot, of folders
            raise
    finally:
        os.close(descriptor)


def _remove_old(folder: pathlib.Path) -> None:
    """Removes what a writer left that must have been killed: it is over an hour old."""
    for left in folder.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _LONGEST_WRITE_SECONDS:
                shutil.rmtree(left)
