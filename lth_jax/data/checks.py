"""Checks: whether arrays are a data set that a study can use.

The arrays are a mapping, in this order: inputs and labels for training, inputs and labels
for testing. Errors begin with the place, and name the arrays by the mapping's keys.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from lth_jax.data.source import DataError, Source, Split


class Shaped(Protocol):
    """An object with a dtype and a shape: an array, or its header in a file."""

    @property
    def dtype(self) -> np.dtype:
        """The dtype of its entries."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of all axes."""


def checked(
    place: str, arrays: Mapping[str, Any], num_outputs: int | None = None
) -> Source:
    """The arrays as a source, as `from_arrays` returns it, without a note.

    Raises:
      DataError: naming the place and the array that cannot be used.
    """
    if num_outputs is not None and not (
        isinstance(num_outputs, int | np.integer) and num_outputs > 0
    ):
        raise DataError(f"{place}: num_outputs is {num_outputs!r}; must be 1 or more")
    converted = {name: _converted(place, name, a) for name, a in arrays.items()}
    check_shapes(place, converted)
    stored = {
        name: _labels(place, name, a, num_outputs) if i % 2 else _inputs(place, name, a)
        for i, (name, a) in enumerate(converted.items())
    }
    x_train, y_train, x_test, y_test = names = [*stored]
    for one, other in ((x_train, x_test), (y_train, y_test)):
        theirs = f"{one} is {stored[one].dtype} and {other} {stored[other].dtype}"
        if stored[one].dtype != stored[other].dtype:
            raise DataError(f"{place}: {theirs}; must be of one dtype")
    train, test = (Split(stored[x], stored[y]) for x, y in (names[:2], names[2:]))
    if train.labels.dtype != np.int32:
        return Source(train, test, int(num_outputs or train.labels.shape[-1]))
    highest = max(train.labels.max(), test.labels.max())
    return Source(train, test, int(num_outputs or highest + 1))


def check_shapes(place: str, arrays: Mapping[str, Shaped]) -> None:
    """Checks the dtypes and shapes of arrays, before their entries are read.

    Raises:
      DataError: as `checked`.
    """
    for i, (name, array) in enumerate(arrays.items()):
        num_axes = 1 if i % 2 else 2
        fits = len(array.shape) >= num_axes and 0 not in array.shape[1:]
        if not fits or array.dtype.kind not in "fiu":
            raise DataError(
                f"{place}: {name} is {_described(array)}; must be integers or floats"
                f" [N, ...]{', of two axes or more' * (num_axes > 1)}"
            )
    names = [*arrays]
    for x, y in (names[:2], names[2:]):
        num_inputs, num_labels = arrays[x].shape[0], arrays[y].shape[0]
        if not 0 < num_inputs == num_labels:
            raise DataError(
                f"{place}: {x} has {num_inputs} examples and {y} {num_labels}; must be as"
                " many, and not none"
            )
    for train, test in zip(names[:2], names[2:], strict=True):
        if arrays[train].shape[1:] != arrays[test].shape[1:]:
            raise DataError(
                f"{place}: {train} is {_described(arrays[train])} and {test}"
                f" {_described(arrays[test])}; may differ only in their number"
            )


def _described(array: Shaped) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _converted(place: str, name: str, given: Any) -> np.ndarray:
    try:
        return np.asarray(given)
    except (TypeError, ValueError) as error:  # for example, lists of several lengths
        said = str(error).splitlines()[0]
        raise DataError(f"{place}: {name} is no array ({said})") from None


def _inputs(place: str, name: str, array: np.ndarray) -> np.ndarray:
    """Inputs in the dtype of a `Split`."""
    if array.dtype == np.uint8:
        return array
    return _numbers(place, name, array, 2**31)


def _labels(
    place: str, name: str, array: np.ndarray, num_outputs: int | None
) -> np.ndarray:
    """Labels in the dtype of a `Split`; classes are below the number of outputs."""
    stored = _numbers(place, name, array, num_outputs or 2**31)
    is_one_number = stored.dtype == np.float32 and stored.ndim == 1
    return stored[:, None] if is_one_number else stored


def _numbers(place: str, name: str, array: np.ndarray, end: int) -> np.ndarray:
    """The array as finite float32, or as int32 from 0 to below `end`."""
    if array.dtype.kind != "f":
        _check_range(place, name, array, end)
        return array.astype(np.int32, copy=False)
    with np.errstate(over="ignore"):
        stored = array.astype(np.float32, copy=False)
    if not (finite := np.isfinite(stored)).all():
        bad = np.count_nonzero(~finite.reshape(len(array), -1).all(1))
        raise DataError(
            f"{place}: {name} has NaN or infinity in {bad} of {len(array)} examples; must"
            " be finite in float32, so mend them or leave them out"
        )
    return stored


def _check_range(place: str, name: str, array: np.ndarray, end: int) -> None:
    """Checks that integers are from 0 to below `end`."""
    low, high = array.min(), array.max()
    if low >= 0 and high < end:
        return
    outside = (array < 0) | (array >= end)
    bad = np.count_nonzero(outside.reshape(len(array), -1).any(1))
    hint = " (-1 often marks a hidden label)" if low == -1 else ""
    raise DataError(
        f"{place}: {name} has integers from {low} to {high}, in {bad} of {len(array)}"
        f" examples not from 0 to below {end}; mend them or leave them out{hint}"
    )
