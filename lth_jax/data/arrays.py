"""Arrays: a data set of one's own, as NumPy arrays or in an .npz file."""

import hashlib
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from lth_jax.data.source import DataError, Source, Split

_NAMES = ("x_train", "y_train", "x_test", "y_test")


def from_arrays(arrays: Sequence[Any]) -> Source:
    """Checked data; the note has a digest of them, so that a study goes on with the same.

    The arrays are x_train, y_train, x_test, y_test, each [N, ...]. Inputs are uint8 or
    floats, which are normalised by their last axis, or other integers (tokens), which
    are not. Labels are integers, of classes from 0 on, or floats (regression).

    Returns a source as `Split` describes; labels of one number are float32[N, 1].

    Raises:
      DataError: naming the array that cannot be used.
    """
    source = checked(arrays)
    digest = hashlib.sha256()
    for array in (*source.train, *source.test):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    digits = digest.hexdigest()[:16]
    return source._replace(note=f"data of one's own (SHA-256 {digits}…)")


def read_npz(path: str) -> Source:
    """The arrays x_train, y_train, x_test, y_test of a file, as `from_arrays` has them.

    Raises:
      DataError: naming the file, or the array that cannot be used.
    """
    try:
        with np.load(pathlib.Path(path).expanduser()) as file:
            return from_arrays([file[name] for name in _NAMES])
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as e:
        raise DataError(
            f"data.name: {path} cannot be read ({e}); must be an .npz file of"
            f" {', '.join(_NAMES)}"
        ) from None


def checked(arrays: Sequence[Any]) -> Source:
    """As `from_arrays`, without a note."""
    if len(arrays) != len(_NAMES):
        raise DataError(f"data: {len(arrays)} arrays; must be {', '.join(_NAMES)}")
    train_x, train_y, test_x, test_y = map(_stored, _NAMES, map(np.asarray, arrays))
    for part, x, y in (("train", train_x, train_y), ("test", test_x, test_y)):
        if not 0 < len(x) == len(y):
            raise DataError(
                f"data: x_{part} has {len(x)} examples and y_{part} {len(y)}; must be as"
                " many, and not none"
            )
    for name, train, test in (("x", train_x, test_x), ("y", train_y, test_y)):
        if (train.dtype, train.shape[1:]) != (test.dtype, test.shape[1:]):
            raise DataError(
                f"data: {name}_train is {train.dtype}{list(train.shape)} and {name}_test"
                f" {test.dtype}{list(test.shape)}; may differ only in their number"
            )
    classifies = train_y.dtype == np.int32
    num_outputs = max(train_y.max(), test_y.max()) + 1 if classifies else test_y.shape[-1]
    return Source(Split(train_x, train_y), Split(test_x, test_y), int(num_outputs))


def _stored(name: str, array: np.ndarray) -> np.ndarray:
    """An array in the dtype that is kept."""
    is_input, kind = name.startswith("x"), array.dtype.kind
    if array.ndim < 1 + is_input or kind not in "fiu":
        raise DataError(
            f"data: {name} is {array.dtype}{list(array.shape)}; must be integers or"
            f" floats [N, ...]{', of two axes or more' if is_input else ''}"
        )
    if kind == "f":
        if not np.isfinite(array).all():
            raise DataError(f"data: {name} has NaN or infinity; must be finite")
        array = array.astype(np.float32, copy=False)
        return array if array.ndim > 1 else array[:, None]
    if is_input and array.dtype == np.uint8:
        return array
    if array.size and not (array.min() >= 0 and array.max() < 2**31):
        raise DataError(
            f"data: {name} has integers from {array.min()} to {array.max()}; must be from"
            " 0 to below 2**31"
        )
    return array.astype(np.int32, copy=False)
