"""Published: data sets that are prepared from published files at the first use."""

import logging
import pathlib
from collections.abc import Callable

from lth_jax.data.cifar import CifarFiles
from lth_jax.data.idx import IdxFiles
from lth_jax.data.prepared import read
from lth_jax.data.source import DataError, Source

RawFiles = CifarFiles | IdxFiles
_log = logging.getLogger(__name__)


def published(name: str, files: RawFiles) -> Callable[[str | None], Source]:
    """The loader of a data set: of the folder of its files, or None to download them."""

    def load(raw_dir: str | None) -> Source:
        raw = None
        if raw_dir is not None:
            folder = pathlib.Path(raw_dir)
            if not folder.is_dir():
                raise DataError(f"data.raw_dir: {raw_dir!r}; no such folder")
            raw = files.read(files.find(folder))
            if raw.note is not None:
                _log.warning("%s", raw.note)
                return raw
        import tensorflow_datasets as tfds

        from lth_jax.data.builders import builder_class

        builder = builder_class(name, files)(source=raw)
        if not builder.info.splits:
            _log.warning("preparing %s in %s (10 to 20 s, once)", name, builder.data_dir)
            tfds.disable_progress_bar()
            try:
                builder.download_and_prepare()
            finally:
                tfds.enable_progress_bar()
        return read(builder)

    return load
