"""Arrays: your own data set, as NumPy arrays or in an .npz file."""

import hashlib
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from lth_jax import npz
from lth_jax.data.checks import check_shapes, checked
from lth_jax.data.source import DataError, Source

_NAMES = ("x_train", "y_train", "x_test", "y_test")


def from_arrays(arrays: Sequence[Any], num_outputs: int | None = None) -> Source:
    """A checked source, with a digest of the data in its note.

    By the digest a study resumes only with the same data. The arrays are x_train,
    y_train, x_test, y_test, each [N, ...]. Inputs are uint8 or floats, which are
    normalised by their last axis, or other integers (tokens), which are not. Labels are
    integers, which are classes from 0 on, or floats (regression).

    It returns a source as `Split` describes. Labels of one number become float32[N, 1].
    By default `num_outputs` is the highest class plus 1, or the number of numbers in a
    label.

    Raises:
      DataError: naming the array that cannot be used.
    """
    if not isinstance(arrays, Sequence) or len(arrays) != len(_NAMES):
        given = len(arrays) if isinstance(arrays, Sequence) else type(arrays).__name__
        raise DataError(f"data: {given} arrays; must be {', '.join(_NAMES)}")
    source = checked("data", dict(zip(_NAMES, arrays, strict=True)), num_outputs)
    digest = hashlib.sha256()
    for array in (*source.train, *source.test):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    digits = digest.hexdigest()[:16]
    return source._replace(note=f"own data (SHA-256 {digits}…)")


def read_npz(path: str) -> Source:
    """The source of the arrays x_train, y_train, x_test, y_test in a file.

    The arrays are as for `from_arrays`. It checks all headers before it reads an array.

    Raises:
      DataError: naming the file, or the array that cannot be used.
    """
    try:
        with npz.opened(pathlib.Path(os.path.expanduser(path))) as file:
            if missing := [name for name in _NAMES if name not in file.headers]:
                raise npz.NpzError(f"no array {missing[0]}; there are {[*file.headers]}")
            headers = {name: file.headers[name] for name in _NAMES}
            check_shapes("data", headers)
            needed, memory = sum(x.num_bytes for x in headers.values()), _memory()
            if needed > memory:
                raise npz.NpzError(f"{needed} bytes of arrays, for {memory} of memory")
            arrays = [file.read(name) for name in _NAMES]
    except (OSError, ValueError, npz.NpzError) as error:
        raise DataError(
            f"data.name: {path} cannot be read ({error}); must be an .npz file of"
            f" {', '.join(_NAMES)}"
        ) from None
    return from_arrays(arrays)


def _memory() -> int:
    """The memory of this machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
