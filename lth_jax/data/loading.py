"""Loading: a data set by name into memory."""

import logging
import pathlib
from typing import Any

import numpy as np

from lth_jax.data import mnist1d
from lth_jax.data.source import DataError, Source, Split

_OWN_BUILDERS = ("mnist", "fashion_mnist", "cifar10", "cifar100")  # builders.BUILDERS
_log = logging.getLogger(__name__)


def load(name: str, raw_dir: str | None = None) -> Source:
    """Loads a data set into memory.

    Args:
      name: "mnist1d"; "mnist", "fashion_mnist", "cifar10" or "cifar100" (prepared at
        the first use, in TFDS's data folder); or any image-classification set that TFDS
        has prepared.
      raw_dir: for those prepared at the first use: where the raw files lie (the four .gz
        files; or CIFAR's binary archive, or the folder that it unpacks to). They are
        read when the set is not prepared yet, and checked in any case. CIFAR files that
        are not the official ones are a warning and the source's note; they are read from
        there every time, and never prepared.

    Raises:
      DataError: if the data are unknown, missing, damaged, or do not classify images.
    """
    if raw_dir is not None and name not in _OWN_BUILDERS:
        raise DataError(
            f"data.raw_dir: {raw_dir!r}; only for data.name one of {_OWN_BUILDERS}"
        )
    if raw_dir is not None and not pathlib.Path(raw_dir).is_dir():
        raise DataError(f"data.raw_dir: {raw_dir!r}; no such folder")
    if name == "mnist1d":
        return mnist1d.make()
    if name not in _OWN_BUILDERS:
        return _read(_prepared(name))
    raw = None if raw_dir is None else _raw(name, pathlib.Path(raw_dir))
    if raw is not None and raw.note is not None:
        _log.warning("%s", raw.note)
        return raw
    return _read(_prepare(name, raw))


def _raw(name: str, folder: pathlib.Path) -> Source:
    from lth_jax.data.builders import BUILDERS

    files = BUILDERS[name].RAW
    return files.read(files.find(folder))


def _prepare(name: str, raw: Source | None) -> Any:
    import tensorflow_datasets as tfds

    from lth_jax.data.builders import BUILDERS

    builder = BUILDERS[name](source=raw)
    if builder.info.splits:
        return builder
    _log.warning("preparing %s in %s (10 to 20 s, once)", name, builder.data_dir)
    tfds.disable_progress_bar()
    try:
        builder.download_and_prepare()
    finally:
        tfds.enable_progress_bar()
    return builder


def _prepared(name: str) -> Any:
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        known = ("mnist1d", *_OWN_BUILDERS)
        raise DataError(
            f"data.name: {name!r}; must be one of {', '.join(known)}, or the name of a"
            f" data set prepared by TFDS ({str(error).splitlines()[0]})"
        ) from None
    if not builder.info.splits:
        raise DataError(
            f"data.name: {name!r} is not prepared in {builder.data_dir}; prepare it where"
            " TensorFlow is installed (tfds build --file_format=array_record), and set"
            " TFDS_DATA_DIR to the folder"
        )
    return builder


def _read(builder: Any) -> Source:
    keys = builder.info.supervised_keys
    if not keys or len(keys) != 2 or not {"train", "test"} <= set(builder.info.splits):
        raise DataError(
            f"data.name: {builder.name!r}; must have splits train and test, and"
            " supervised keys (image, label)"
        )
    image, label = keys
    if builder.info.file_format.value != "array_record":
        raise DataError(
            f"data.name: {builder.name!r} is prepared as"
            f" {builder.info.file_format.value}, which needs TensorFlow to read; prepare"
            " it as array_record (tfds build --file_format=array_record)"
        )

    def split(name: str) -> Split:
        records = builder.as_data_source(split=name)
        rows = records.__getitems__(range(len(records)))
        shapes = {row[image].shape for row in rows}
        if len(shapes) != 1:
            raise DataError(f"data.name: {builder.name!r} has images of several sizes")
        return Split(
            np.stack([row[image] for row in rows]),
            np.array([row[label] for row in rows], np.int32),
        )

    num_classes = builder.info.features[label].num_classes
    return Source(split("train"), split("test"), num_classes)
