"""IDX files of MNIST and Fashion-MNIST: their addresses, checksums and reader."""

import gzip
import hashlib
import math
import pathlib
import struct
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from lth_jax.data.source import DataError, Source, Split

_NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


class IdxFiles(NamedTuple):
    """The four files of an MNIST-like data set, and the folder they are published in.

    Each SHA-256 is that of the uncompressed bytes, since copies differ in gzip headers.
    """

    url: str
    checksums: tuple[str, str, str, str]
    num_examples: tuple[int, int] = (60_000, 10_000)  # to train and to test on
    image_shape: tuple[int, int, int] = (28, 28, 1)
    num_classes: int = 10

    @property
    def urls(self) -> dict[str, str]:
        """The addresses of the files, by file name."""
        return {name: self.url + name for name in _NAMES}

    def find(self, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """The paths of the files in a folder, by name; the files need not exist."""
        return {name: folder / name for name in _NAMES}

    def read(self, paths: Mapping[str, pathlib.Path]) -> Source:
        """The checked examples in the files, with images uint8[N, 28, 28, 1].

        It unpacks at most one byte more of a file than it should hold.

        Raises:
          DataError: if a file is missing, truncated, or not the expected one.
        """
        shapes = [
            s for n in self.num_examples for s in ((n, *self.image_shape[:2]), (n,))
        ]
        in_order = [paths[name] for name in _NAMES]
        train_x, train_y, test_x, test_y = map(_read, in_order, self.checksums, shapes)
        train = Split(train_x[..., None], train_y.astype(np.int32))
        test = Split(test_x[..., None], test_y.astype(np.int32))
        return Source(train, test, self.num_classes)


MNIST = IdxFiles(
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
FASHION_MNIST = IdxFiles(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)


def _read(path: pathlib.Path, checksum: str, shape: tuple[int, ...]) -> np.ndarray:
    """The checked array, uint8, in a gzipped IDX file of unsigned bytes."""
    header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
    size = len(header) + math.prod(shape)
    if not path.is_file():
        raise DataError(f"{path}: no such file, of images or labels in gzipped IDX")
    try:
        with gzip.open(path) as file:
            content = file.read(size + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged gzip file ({error})") from None
    if len(content) > size:
        raise DataError(
            f"{path}: unpacks to more than the {size} bytes that it must hold"
        )
    if (found := hashlib.sha256(content).hexdigest()) != checksum:
        raise DataError(
            f"{path}: the SHA-256 of its uncompressed content is {found}; must be"
            f" {checksum}"
        )
    if not content.startswith(header) or len(content) != size:
        raise DataError(f"{path}: must be IDX of unsigned bytes {list(shape)}")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)
