"""Npz: reads the arrays of an .npz file from an untrusted source.

`numpy.load` trusts a file's headers and unpacks all of it: 4 MB can become 4 GB. Here a
caller knows the size of an array, and can check it, before reading it.
"""

import contextlib
import io
import math
import pathlib
import warnings
import zipfile
from collections.abc import Iterator
from typing import IO, NamedTuple

import numpy as np

from lth_jax.errors import UserError

_SUFFIX = ".npy"
_MOST_EXPANSION = 1032  # deflate's: 258 bytes take 2 bits or more
_HEADER_BYTES = 2**14  # NumPy writes and reads headers of up to 10,000 bytes


class NpzError(UserError):
    """A file is not a whole .npz file of plain arrays; the message does not name it."""


class Header(NamedTuple):
    """The dtype and shape that a member's header states."""

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Returns the array's bytes in memory, as a Python int, which cannot overflow."""
        return int(self.dtype.itemsize) * math.prod(self.shape)


class Arrays:
    """The arrays of an open .npz file; `headers` maps names to headers, in file order."""

    def __init__(self, file: zipfile.ZipFile, num_bytes: int):
        """Reads only the headers; `num_bytes` is the size of the file."""
        members = [x for x in file.infolist() if x.filename.endswith(_SUFFIX)]
        # In a zip bomb, members share their bytes, or expand more than deflate can.
        if sum(x.compress_size for x in members) > num_bytes:
            raise NpzError("its members are longer than the file")
        self._file = file
        self.headers: dict[str, Header] = {}
        for member in members:
            name = member.filename.removesuffix(_SUFFIX)
            if name in self.headers:
                raise NpzError(f"there are two of {name!r}")
            self.headers[name] = _header(file, member)

    def read(self, name: str) -> np.ndarray:
        """Returns the array of a name, with the dtype and shape of its header.

        Raises:
          NpzError: if it is missing or damaged.
        """
        if name not in self.headers:
            raise NpzError(f"no array {name!r}; there are {[*self.headers]}")
        with _told(name), self._file.open(name + _SUFFIX) as stream:
            array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
            stream.read(1)  # zipfile checks the checksum only at the end of the member
        return array


@contextlib.contextmanager
def opened(file: pathlib.Path | io.BytesIO) -> Iterator[Arrays]:
    """Yields the arrays of a file; headers are checked, and arrays are read on demand.

    No array takes more memory than 1,032 times the file, and none has Python objects. A
    caller that knows which arrays to expect checks `headers` before reading.

    Raises:
      NpzError: if it is not an .npz file, or its members do not match their headers. Also
        if they are not packed as `numpy.savez` and `savez_compressed` pack them.
      OSError: if a path cannot be opened.
    """
    with contextlib.ExitStack() as stack:
        stream: IO[bytes]
        stream = (
            file if isinstance(file, io.BytesIO) else stack.enter_context(_open(file))
        )
        num_bytes = stream.seek(0, io.SEEK_END)
        with _told():
            packed = stack.enter_context(zipfile.ZipFile(stream))
            arrays = Arrays(packed, num_bytes)
        yield arrays


def _open(path: pathlib.Path) -> IO[bytes]:
    if not path.is_file() and path.exists():  # opening a pipe would wait
        raise OSError(f"{path} is not a regular file")
    return path.open("rb")


def _header(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> Header:
    """The header of a member, which must agree with the zip file's directory."""
    name = member.filename.removesuffix(_SUFFIX)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NpzError(f"{name!r} is neither stored nor deflated")
    if member.file_size > _MOST_EXPANSION * member.compress_size:
        raise NpzError(
            f"{name!r} says {member.file_size} bytes in {member.compress_size}, more than"
            " can be packed there"
        )
    with _told(name):
        with file.open(member) as stream:
            start = io.BytesIO(stream.read(_HEADER_BYTES))
        version = np.lib.format.read_magic(start)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(start)
    found = Header(dtype, shape)
    if dtype.hasobject:
        raise NpzError(f"{name!r} holds Python objects; must be numbers or text")
    size = member.file_size - start.tell()
    if min(shape, default=0) < 0 or found.num_bytes != size:
        raise NpzError(
            f"{name!r} says {dtype}{list(shape)}, {found.num_bytes} bytes, but has {size}"
        )
    return found


@contextlib.contextmanager
def _told(name: str | None = None) -> Iterator[None]:
    """Raises an `NpzError` for the dozen types that zipfile, zlib and NumPy raise."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy warns when it guesses a header
            yield
    except NpzError:
        raise
    except Exception as error:
        where = "not a whole .npz file" if name is None else f"{name!r} is damaged"
        said = str(error).splitlines()[:1] or [type(error).__name__]
        raise NpzError(f"{where} ({said[0]})") from None
