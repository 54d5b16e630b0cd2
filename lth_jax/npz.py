"""Npz: the arrays of an .npz file that nobody vouches for.

`numpy.load` believes what a file says of itself, and unpacks what it holds: 4 MB can
become 4 GB. Here a member's size is known, and can be checked, before it is read.
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
_MOST_EXPANSION = 1032  # of deflate: 258 bytes take 2 bits or more
_HEADER_BYTES = 2**14  # NumPy writes, and reads, headers of up to 10,000


class NpzError(UserError):
    """A file that is no whole .npz file of plain arrays; the message does not name it."""


class Header(NamedTuple):
    """What a member says that it holds."""

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """The size of the array in memory; a Python integer, which never overflows."""
        return int(self.dtype.itemsize) * math.prod(self.shape)


class Arrays:
    """The arrays of an open .npz file; `headers` has those by name, in their order."""

    def __init__(self, file: zipfile.ZipFile, num_bytes: int):
        """Reads the headers, and nothing else, of a file of so many bytes."""
        members = [x for x in file.infolist() if x.filename.endswith(_SUFFIX)]
        # Members that share their bytes, or that deflate cannot have packed, are bombs.
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
        """The array of a name, of the dtype and the shape that its header says.

        Raises:
          NpzError: if it is not there, or damaged.
        """
        if name not in self.headers:
            raise NpzError(f"no array {name!r}; there are {[*self.headers]}")
        with _told(name), self._file.open(name + _SUFFIX) as stream:
            array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
            stream.read(1)  # the end, where zipfile compares checksums
        return array


@contextlib.contextmanager
def opened(file: pathlib.Path | io.BytesIO) -> Iterator[Arrays]:
    """The arrays of a file, whose headers are checked; none is read before it is asked.

    No array takes more memory than 1,032 times the file, and none has Python objects.
    Who knows what must be there compares `headers` with it before reading.

    Raises:
      NpzError: if it is no .npz file, if members do not hold what their headers say, or
        if they are packed otherwise than by `numpy.savez` and `savez_compressed`.
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
    if not path.is_file() and path.exists():  # a pipe would be waited for
        raise OSError(f"{path} is no file")
    return path.open("rb")


def _header(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> Header:
    """What a member says that it holds, which must be what the directory says."""
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
            f"{name!r} says {dtype}{list(shape)}, {found.num_bytes} bytes, and has {size}"
        )
    return found


@contextlib.contextmanager
def _told(name: str | None = None) -> Iterator[None]:
    """What zipfile, zlib and NumPy raise of damaged bytes, a dozen kinds, as one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy's, of headers that it had to guess
            yield
    except NpzError:
        raise
    except Exception as error:
        where = "not a whole .npz file" if name is None else f"{name!r} is damaged"
        said = str(error).splitlines()[:1] or [type(error).__name__]
        raise NpzError(f"{where} ({said[0]})") from None
