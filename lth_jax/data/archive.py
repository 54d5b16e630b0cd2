"""Archive: files in a .tar.gz that nobody vouches for, read in passing."""

import gzip
import pathlib
import tarfile
from collections.abc import Mapping
from typing import Any

from lth_jax.data.source import DataError

_MARGIN = 2**20  # bytes beside the files that are wanted: headers, a readme


def unpack(archive: pathlib.Path, sizes: Mapping[str, int]) -> dict[str, bytes]:
    """The contents of files by name, in this order, in whatever folder they lie.

    Their sizes in bytes are known. Nothing is written to the disk, and not much more is
    unpacked than these files.

    Raises:
      DataError: naming the archive, if it is damaged, if a file is missing, there twice
        or of another size, or if a member is a link, a device, or lies outside of it.
    """
    found: dict[str, bytes] = {}
    if not archive.is_file():  # a folder, or a pipe, which would be waited for
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
            while limited.read(2**16):  # to the end, where gzip compares checksums
                pass
    except DataError as error:
        raise DataError(f"{archive}: {error}") from None
    except Exception as error:  # tarfile raises more kinds than it names
        raise DataError(f"{archive}: truncated or damaged archive ({error})") from None
    if missing := [name for name in sizes if name not in found]:
        raise DataError(f"{archive}: truncated or damaged archive (no {missing[0]})")
    return {name: found[name] for name in sizes}


def _name(member: tarfile.TarInfo) -> str:
    """The name of a file or a folder, without the folders that it lies in."""
    path = pathlib.PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{member.name!r} lies outside of the archive")
    if not member.isfile() and not member.isdir():
        raise DataError(f"{member.name!r} is a link or a device; must be a file")
    return path.name


class _Limited:
    """A stream that may not be longer than it should be."""

    def __init__(self, stream: gzip.GzipFile, num_bytes: int):
        self._stream, self._most, self._left = stream, num_bytes, num_bytes

    def read(self, num_bytes: int) -> bytes:
        """Reads on; raises a DataError beyond the end."""
        content = self._stream.read(min(num_bytes, self._left + 1))
        self._left -= len(content)
        if self._left < 0:
            raise DataError(f"unpacks to more than {self._most} bytes")
        return content
