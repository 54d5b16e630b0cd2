"""Prepared: any data set that TFDS has prepared, read without TensorFlow."""

from collections.abc import Collection
from typing import Any

import numpy as np

from lth_jax.data.checks import checked
from lth_jax.data.source import DataError, Source
from lth_jax.errors import did_you_mean

_ANOTHER = "another choice can be made in a function (package.module:name)"


def load(name: str, others: Collection[str]) -> Source:
    """A data set that TFDS has prepared; an error for an unknown name lists `others`.

    Raises:
      DataError: if TFDS has not prepared it, or as `read`.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name)
    except Exception as error:  # TFDS documents no kind, for names or damaged files
        raise DataError(
            f"data.name: {name!r}; must be one of {', '.join(others)}, or"
            " package.module:name, npz:FILE, or the name of a data set that TFDS has"
            f" prepared and can open ({_first_line(error)}){did_you_mean(name, others)}"
        ) from None
    if not builder.info.splits:
        raise DataError(
            f"data.name: {name!r} is not prepared in {builder.data_dir}; prepare it where"
            " TensorFlow is installed (tfds build --file_format=array_record), and set"
            " TFDS_DATA_DIR to the folder"
        )
    return read(builder)


def read(builder: Any) -> Source:
    """The examples of a prepared data set; the validation split can be the test split.

    Raises:
      DataError: if its splits, keys, format or values do not fit, or if it is damaged.
    """
    place, keys = f"data.name: {builder.name!r}", builder.info.supervised_keys
    sizes = {name: split.num_examples for name, split in builder.info.splits.items()}
    test = "test" if sizes.get("test") else "validation"
    if not sizes.get("train") or not sizes.get(test):
        found = ", ".join(f"{name} ({number} examples)" for name, number in sizes.items())
        raise DataError(
            f"{place} has splits {found}; must have train, and test or validation;"
            f" {_ANOTHER}"
        )
    are_two = isinstance(keys, tuple) and [*map(type, keys)] == [str, str]
    if not are_two or keys[0] == keys[1]:
        raise DataError(
            f"{place} has supervised keys {keys}; must be (input, label); {_ANOTHER}"
        )
    if builder.info.file_format.value != "array_record":
        raise DataError(
            f"{place} is prepared as {builder.info.file_format.value}, which needs"
            " TensorFlow to read; prepare it as array_record (tfds build"
            " --file_format=array_record)"
        )
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", test):
        arrays |= _arrays(builder, place, split, sizes[split])
    num_classes = getattr(builder.info.features[keys[1]], "num_classes", None)
    source = checked(place, arrays, num_classes)
    note = f"{builder.name}: the test split is its {test} split; it has no other"
    return source._replace(note=None if test == "test" else note)


def _arrays(
    builder: Any, place: str, split: str, num_examples: int
) -> dict[str, np.ndarray]:
    """The inputs and labels of a split, by their names in messages."""
    try:
        records = builder.as_data_source(split=split)
        rows = records.__getitems__(range(num_examples))
        if any(row[key] is None for row in rows for key in builder.info.supervised_keys):
            raise ValueError("examples without content")  # a file was cut short
    except Exception as error:  # array_record passes on any error of its C++ code
        raise DataError(
            f"{place} is damaged in {builder.data_dir} ({_first_line(error)}); remove"
            " that folder, and prepare it again"
        ) from None
    arrays = {}
    for key in builder.info.supervised_keys:
        sizes = {np.shape(row[key]) for row in rows}
        if len(sizes) != 1:
            raise DataError(
                f"{place} has {key}s of {len(sizes)} sizes in {split}, {min(sizes)} for"
                f" one; must be of one; {_ANOTHER}"
            )
        arrays[f"{split}[{key!r}]"] = np.stack([row[key] for row in rows])
    return arrays


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
