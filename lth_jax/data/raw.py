"""Raw files of MNIST and Fashion-MNIST: where from, what they must hold, reading."""

import gzip
import hashlib
import pathlib
import struct
import threading
import zlib
from typing import NamedTuple

import numpy as np

from lth_jax.data.source import DataError

_ONLINE_WITHIN_SECONDS = 4.0


class RawFile(NamedTuple):
    """A gzipped IDX file: its name, and the SHA-256 of its uncompressed bytes."""

    name: str
    sha256: str


class RawFiles(NamedTuple):
    """The four files of an MNIST-like data set, and where they are published.

    Checksums are of the uncompressed bytes: copies differ in their gzip headers.
    """

    url: str
    train_images: RawFile
    train_labels: RawFile
    test_images: RawFile
    test_labels: RawFile

    @property
    def files(self) -> tuple[RawFile, ...]:
        """The four files."""
        return self[1:]


def _files(url: str, *checksums: str) -> RawFiles:
    names = (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )
    return RawFiles(url, *map(RawFile, names, checksums))


MNIST = _files(
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
FASHION_MNIST = _files(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)


def read(path: pathlib.Path, expected: RawFile) -> np.ndarray:
    """The array in a gzipped IDX file of unsigned bytes, checked.

    Raises:
      DataError: if the file is missing, truncated, or not the expected one.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; expected {expected.name}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged gzip file ({error})") from None
    found = hashlib.sha256(content).hexdigest()
    if found != expected.sha256:
        raise DataError(
            f"{path}: the SHA-256 of its uncompressed content is {found}; must be"
            f" {expected.sha256}"
        )
    num_axes = content[3]
    shape = struct.unpack_from(f">{num_axes}I", content, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * num_axes).reshape(shape)


def check_online(url: str) -> None:
    """Fails within seconds where TFDS would retry for minutes.

    Raises:
      DataError: naming the remedies, if the address cannot be reached.
    """
    import requests

    answer: list[Exception | None] = []

    def ask() -> None:
        try:
            requests.head(url, timeout=_ONLINE_WITHIN_SECONDS)
            answer.append(None)
        except requests.RequestException as error:
            answer.append(error)

    # A thread that may be left behind: a name server that does not answer outlasts
    # requests' time limit.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_ONLINE_WITHIN_SECONDS)
    if not answer or answer[0] is not None:
        reason = type(answer[0]).__name__ if answer else "no answer"
        raise DataError(
            f"cannot reach {url} ({reason}), and the data set is not prepared. Either go"
            " online, or give the folder of the raw .gz files with"
            " --config.data.raw_dir, or copy a prepared data set to the TFDS data folder"
            " (the TFDS_DATA_DIR environment variable, else ~/tensorflow_datasets)"
        )
