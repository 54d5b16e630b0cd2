"""Raw: what a data set's published files offer, whatever their format."""

import pathlib
from collections.abc import Mapping
from typing import Protocol

from lth_jax.data.source import Source


class RawFiles(Protocol):
    """The files that a data set is published as."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""

    @property
    def num_classes(self) -> int:
        """Labels lie below it."""

    @property
    def urls(self) -> dict[str, str]:
        """Addresses of what to download, by file name."""

    def find(self, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Where the files lie in a folder, by name, whether they are there or not."""

    def read(self, paths: Mapping[str, pathlib.Path]) -> Source:
        """The checked examples in files by name, in the order of the files.

        Raises:
          DataError: if a file is missing or damaged.
        """
