"""Files and folders that appear whole or not at all, and whose damage is found."""

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
    """Yields a path to write a file or folder to; on success it moves to `path`.

    The yielded path has the same name in its own folder, where simultaneous writers do
    not meet. The bytes are on the disk before the move. A power cut therefore leaves the
    old file or the new one.

    Raises:
      WriteError: if the disk is full or refuses the write.
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
    """Removes what killed writers left in a folder, in which nobody may be writing."""
    for left in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)


def write_sealed(path: pathlib.Path, content: bytes) -> None:
    """Writes the file of the SHA-256, which `sha256sum -c` reads, and then the file.

    A kill between the two leaves no file, or an old one that counts as damaged. It never
    leaves a new file without its SHA-256. Raises what `whole` does.
    """
    line = _digest_line(path, content)
    for target, written in ((_seal(path), line), (path, content)):
        with whole(target) as unfinished:
            unfinished.write_bytes(written)


def read_sealed(path: pathlib.Path) -> bytes:
    """Returns the bytes of a file that `write_sealed` wrote.

    A file without a SHA-256 passes: it was copied alone, or an older version wrote it.

    Raises:
      FileNotFoundError: if there is no such file.
      DamagedFile: if its bytes are not those that were written, or cannot be read.
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
    """Returns all files that were written to a folder, sorted; also those since lost.

    Only the SHA-256 of a lost file is there. The same holds for an instant before a file
    is written.
    """
    seals = folder.glob(_seal(pathlib.Path(pattern)).name)
    there = {seal.with_suffix("") for seal in seals} | {*folder.glob(pattern)}
    return sorted(there)


def is_sealed(path: pathlib.Path) -> bool:
    """Whether a file is there and is as it was written."""
    try:
        read_sealed(path)
    except (FileNotFoundError, DamagedFile):
        return False
    return True


def is_lost(path: pathlib.Path) -> bool:
    """Whether a file that has a SHA-256 is damaged or gone."""
    return (path.exists() or _seal(path).exists()) and not is_sealed(path)


def noted_digest(path: pathlib.Path) -> str:
    """Returns the SHA-256 noted beside a file, unchecked; without one, computes it."""
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
        if error.errno != errno.EINVAL:  # some file systems cannot sync folders
            raise
    finally:
        os.close(descriptor)


def _remove_old(folder: pathlib.Path) -> None:
    """Removes what is over an hour old: its writer must have been killed."""
    for left in folder.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _LONGEST_WRITE_SECONDS:
                shutil.rmtree(left)
