"""Spacing: how far apart checkpoints are, so that writing them takes little time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

# Of the time. On a GPU small nets end a call in a second, and writing takes as long.
_MOST_SHARE = 0.05


class Spacing:
    """When the next checkpoint is due, as the last one took to write.

    Where writing is slow a kill costs more training: at the share of 5%, 19 times as long
    as the last checkpoint took. A signal to stop costs none, since it saves.
    """

    def __init__(self) -> None:
        self._seconds = 0.0  # that the last took; before any, the first is due at once
        self._ended = 0.0

    def is_due(self) -> bool:
        """Whether a checkpoint now keeps to the share."""
        least = self._seconds * (1 / _MOST_SHARE - 1)
        return time.perf_counter() - self._ended >= least

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Around the writing of a checkpoint."""
        began = time.perf_counter()
        yield
        self._ended = time.perf_counter()
        self._seconds = self._ended - began
