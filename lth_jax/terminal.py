"""Terminal: keeps a command running when nobody reads its output any more."""

import os
import sys
from typing import Any


class _Lasting:
    """A stream that drops its text once its reader is gone, and raises nothing."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes a text; returns its length in characters."""
        try:
            return int(self._stream.write(text))
        except OSError:
            self._leave()
            return len(text)

    def flush(self) -> None:
        """Writes what is buffered."""
        try:
            self._stream.flush()
        except OSError:
            self._leave()

    def _leave(self) -> None:
        with open(os.devnull, "w", encoding="utf-8") as nobody:
            os.dup2(nobody.fileno(), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def make_streams_last() -> None:
    """Makes it safe to print to a stream that is closed, broken or ASCII only.

    Characters that the encoding lacks become "?".
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
        setattr(sys, name, _Lasting(stream))
