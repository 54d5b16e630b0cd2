"""Published: data sets that TFDS prepares from published files at the first use."""

import contextlib
import fcntl
import logging
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

from lth_jax.data.cifar import CifarFiles
from lth_jax.data.idx import IdxFiles
from lth_jax.data.prepared import read
from lth_jax.data.source import DataError, Source

RawFiles = CifarFiles | IdxFiles
_log = logging.getLogger(__name__)


def published(name: str, files: RawFiles) -> Callable[[str | None], Source]:
    """The loader of a data set; it takes the folder of its files, or None to download.

    If several processes load the set at once, one prepares it, and the others wait.
    """

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

        from lth_jax.data.builders import builder_class

        made = builder_class(name, files)
        builder = _opened(name, lambda: made(source=raw))
        if not builder.info.splits:
            with _locked(pathlib.Path(builder.data_dir)):
                # It is opened again, since another process may have prepared it.
                builder = _opened(name, lambda: made(source=raw))
                if not builder.info.splits:
                    _prepare(name, builder)
        return read(builder)

    return load


def _opened(name: str, make: Callable[[], Any]) -> Any:
    """The builder, which reads what TFDS has prepared.

    Raises:
      DataError: if the prepared files are damaged.
    """
    try:
        return make()
    except Exception as error:  # of damaged files TFDS raises many kinds
        raise DataError(
            f"data.name: {name!r} is damaged in TFDS's data folder ({error}); remove"
            f" lth_{name} there, and it is prepared anew"
        ) from None


def _prepare(name: str, builder: Any) -> None:
    import tensorflow_datasets as tfds

    _log.warning("preparing %s in %s (10 to 20 s, once)", name, builder.data_dir)
    tfds.disable_progress_bar()
    try:
        builder.download_and_prepare()
    finally:
        tfds.enable_progress_bar()


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
    """A context in which other processes wait, without leftovers of killed processes.

    TFDS writes to a folder beside `folder`, and renames it at the end. A killed process
    leaves such a folder, which is removed here.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / ".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the lock of a killed process is released
            for left in folder.parent.glob(f"incomplete.*_{folder.name}"):
                shutil.rmtree(left)
            yield
    except OSError as error:
        raise DataError(
            f"cannot prepare the data set in {folder} ({error}); the environment variable"
            " TFDS_DATA_DIR can name another folder"
        ) from None
