"""TFDS builders that need no TensorFlow, for data sets published as files.

TFDS's own builders of MNIST and CIFAR extract and read through TensorFlow. These read
the same raw files with NumPy and store array_record.
"""

import pathlib
import threading
import types
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.util import DownloadError

from lth_jax.data.published import RawFiles
from lth_jax.data.source import DataError, Source, Split

_ANSWERS_WITHIN_SECONDS = 4.0


class _FromRaw(  # type: ignore[call-arg]
    tfds.core.GeneratorBasedBuilder, skip_registration=True
):
    """Images and labels, from raw files."""

    VERSION = tfds.core.Version("1.0.0")
    RAW: ClassVar[RawFiles]

    def __init__(self, *, source: Source | None = None, **kwargs: Any):
        """Stores the examples of `source`, or of downloaded files if it is None."""
        self._source = source
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        image = tfds.features.Tensor(shape=self.RAW.image_shape, dtype=np.uint8)
        label = tfds.features.ClassLabel(num_classes=self.RAW.num_classes)
        features = tfds.features.FeaturesDict({"image": image, "label": label})
        return tfds.core.DatasetInfo(
            builder=self, features=features, supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        # Files are read here and not in the generator. A bad file then stops the builder
        # before it writes.
        source = self._downloaded(dl_manager) if self._source is None else self._source
        if source.note is not None:  # only official data get the official name
            raise DataError(source.note)
        splits = {"train": source.train, "test": source.test}
        return {name: self._generate_examples(own) for name, own in splits.items()}

    def _downloaded(self, dl_manager: Any) -> Source:
        url, *_ = self.RAW.urls.values()
        _check_online(url)
        try:
            found = dl_manager.download(self.RAW.urls)
        except DownloadError as error:
            raise DataError(f"cannot download {url}: {error}") from None
        paths = {name: pathlib.Path(path) for name, path in found.items()}
        try:
            source = self.RAW.read(paths)
            if source.note is not None:
                raise DataError(f"downloaded from {url}: {source.note}")
        except DataError:  # otherwise TFDS would use the bad files again
            for path in paths.values():
                path.unlink(missing_ok=True)
                path.with_name(f"{path.name}.INFO").unlink(missing_ok=True)
            raise
        return source

    def _generate_examples(self, split: Split) -> Iterator[tuple[int, dict[str, Any]]]:
        for i, (image, label) in enumerate(zip(*split, strict=True)):
            yield i, {"image": image, "label": int(label)}


def builder_class(name: str, files: RawFiles) -> type[_FromRaw]:
    """The builder class of a data set, with the TFDS name `lth_<name>`."""
    class_name = "Lth" + "".join(part.capitalize() for part in name.split("_"))
    fields = {"RAW": files, "__module__": __name__}
    made: type[_FromRaw] = types.new_class(
        class_name, (_FromRaw,), {"skip_registration": True}, lambda x: x.update(fields)
    )
    return made


def _check_online(url: str) -> None:
    """Checks that `url` answers within seconds; TFDS would retry for minutes.

    Raises:
      DataError: naming the remedies.
    """
    import requests

    problem = "no answer"

    def ask() -> None:
        nonlocal problem
        try:
            requests.head(url, timeout=_ANSWERS_WITHIN_SECONDS)
            problem = ""
        except requests.RequestException as error:
            problem = type(error).__name__

    # The thread may be left behind: a silent name server outlasts requests' time limit.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_ANSWERS_WITHIN_SECONDS)
    if problem:
        raise DataError(
            f"cannot reach {url} ({problem}), and the data set is not prepared. Either"
            " go online, or give the folder of the raw files with --config.data.raw_dir,"
            " or copy a prepared data set to the TFDS data folder (the TFDS_DATA_DIR"
            " environment variable, else ~/tensorflow_datasets)"
        )
