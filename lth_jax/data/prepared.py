"""Prepared: any data set that TFDS has prepared, read without TensorFlow."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from lth_jax.data.arrays import checked
from lth_jax.data.source import DataError, Source


def load(name: str, others: Iterable[str]) -> Source:
    """A data set that TFDS has prepared; `others` are named where it knows none.

    Raises:
      DataError: if TFDS has not prepared it, or as `read`.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        raise DataError(
            f"data.name: {name!r}; must be one of {', '.join(others)}, or"
            " package.module:name, npz:FILE, or the name of a data set prepared by TFDS"
            f" ({str(error).splitlines()[0]})"
        ) from None
    if not builder.info.splits:
        raise DataError(
            f"data.name: {name!r} is not prepared in {builder.data_dir}; prepare it where"
            " TensorFlow is installed (tfds build --file_format=array_record), and set"
            " TFDS_DATA_DIR to the folder"
        )
    return read(builder)


def read(builder: Any) -> Source:
    """The examples of a prepared data set; without a test split, those of validation.

    Raises:
      DataError: if it has not the splits, the keys, the format or the values.
    """
    keys, splits = builder.info.supervised_keys, builder.info.splits
    test = next((name for name in ("test", "validation") if name in splits), None)
    if not keys or len(keys) != 2 or "train" not in splits or test is None:
        raise DataError(
            f"data.name: {builder.name!r}; must have splits train and test or validation,"
            " and supervised keys (input, label)"
        )
    if builder.info.file_format.value != "array_record":
        raise DataError(
            f"data.name: {builder.name!r} is prepared as"
            f" {builder.info.file_format.value}, which needs TensorFlow to read; prepare"
            " it as array_record (tfds build --file_format=array_record)"
        )
    source = checked([*_arrays(builder, "train"), *_arrays(builder, test)])
    label = builder.info.features[keys[1]]
    note = f"{builder.name}: the test split is its {test} split; it has no other"
    return source._replace(
        num_outputs=getattr(label, "num_classes", source.num_outputs),
        note=None if test == "test" else note,
    )


def _arrays(builder: Any, split: str) -> list[np.ndarray]:
    """Inputs and labels."""
    records = builder.as_data_source(split=split)
    rows = records.__getitems__(range(len(records)))
    for key in builder.info.supervised_keys:
        if len({np.shape(row[key]) for row in rows}) != 1:
            raise DataError(f"data.name: {builder.name!r} has {key}s of several sizes")
    return [np.stack([row[key] for row in rows]) for key in builder.info.supervised_keys]
