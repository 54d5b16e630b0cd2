"""Spacing: how far apart checkpoints are, so that writing them takes little time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

# The share of the time that writing may take. On a GPU small nets end a call in a second,
# and writing a checkpoint takes as long.
_MOST_SHARE = 0.05


class Spacing:
    """When the next checkpoint is due, by the time that the last one took to write.

    A kill loses at most the training between two checkpoints. At a share of 5% this is 19
    times as long as the last write. A signal to stop loses nothing, since it saves.
    """

    def __init__(self) -> None:
        self._seconds = 0.0  # that the last write took; the first is due at once
        self._ended = 0.0

    def is_due(self) -> bool:
        """Whether a checkpoint now would keep to the share."""
        least = self._seconds * (1 / _MOST_SHARE - 1)
        return time.perf_counter() - self._ended >= least

    @contextmanager
    def measured(self) -> Iterator[None]:
        """A context that times the writing of a checkpoint."""
        began = time.perf_counter()
        yield
        self._ended = time.perf_counter()
        self._seconds = self._ended - began
