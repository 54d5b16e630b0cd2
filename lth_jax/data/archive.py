"""Archive: reads files in an untrusted .tar.gz as a stream."""

import gzip
import pathlib
import tarfile
from collections.abc import Mapping
from typing import Any

from lth_jax.data.source import DataError

_MARGIN = 2**20  # the bytes allowed beside the wanted files: headers, a readme


def unpack(archive: pathlib.Path, sizes: Mapping[str, int]) -> dict[str, bytes]:
    """The contents of files by name, in the order of `sizes`, from any folder.

    `sizes` are in bytes. It writes nothing to the disk, and unpacks little more than
    these files.

    Raises:
      DataError: naming the archive, if it is damaged, if a file is missing, is there
        twice or has another size, or if a member is a link or a device or has a path
        outside of the archive.
    """
    found: dict[str, bytes] = {}
    if not archive.is_file():  # a folder, or a pipe, on which a read would wait
        raise DataError(f"{archive}: no file")
    try:
        with gzip.open(archive) as packed:
            limited: Any = _Limited(packed, sum(sizes.values()) + _MARGIN)
            with tarfile.open(fileobj=limited, mode="r|") as tar:
                for member in tar:
                    name = _name(member)
                    content = tar.extractfile(member) if name in sizes else None
                    if content is None:
                        continue
                    if name in found:
                        raise DataError(f"{name}: there twice")
                    if member.size != sizes[name]:
                        raise DataError(
                            f"{name}: {member.size} bytes; must be {sizes[name]}"
                        )
                    found[name] = content.read()
            while limited.read(2**16):  # read to the end, where gzip compares checksums
                pass
    except DataError as error:
        raise DataError(f"{archive}: {error}") from None
    except Exception as error:  # tarfile raises more kinds than it documents
        raise DataError(f"{archive}: truncated or damaged archive ({error})") from None
    if missing := [name for name in sizes if name not in found]:
        raise DataError(f"{archive}: truncated or damaged archive (no {missing[0]})")
    return {name: found[name] for name in sizes}


def _name(member: tarfile.TarInfo) -> str:
    """The name of a file or a folder, without its parent folders."""
    path = pathlib.PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{member.name!r} lies outside of the archive")
    if not member.isfile() and not member.isdir():
        raise DataError(f"{member.name!r} is a link or a device; must be a file")
    return path.name


class _Limited:
    """A stream with a limit on its length."""

    def __init__(self, stream: gzip.GzipFile, num_bytes: int):
        self._stream, self._most, self._left = stream, num_bytes, num_bytes

    def read(self, num_bytes: int) -> bytes:
        """Reads at most `num_bytes` more; raises a DataError beyond the limit."""
        content = self._stream.read(min(num_bytes, self._left + 1))
        self._left -= len(content)
        if self._left < 0:
            raise DataError(f"unpacks to more than {self._most} bytes")
        return content
