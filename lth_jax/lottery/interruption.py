"""Interruption: SIGINT, SIGTERM and SIGHUP wait for the next segment boundary."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


class Interrupted(Exception):
    """The study was asked to stop, and has saved its state."""

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


@contextlib.contextmanager
def deferred(announce: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Defers signals; gives a function that raises `Interrupted` if one came.

    A second signal acts at once, as if nothing were deferred.
    """
    received: list[int] = []
    # Before any is replaced: a signal may come between the two.
    signals = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    previous = {s: signal.getsignal(s) for s in signals}
    if previous[signal.SIGHUP] == signal.SIG_IGN:  # as under nohup: it stays so
        del previous[signal.SIGHUP]

    def restore() -> None:
        for s, handler in previous.items():
            signal.signal(s, handler)

    def receive(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        announce(
            f"{signal.Signals(signum).name}: saving at the end of this segment; once more"
            " stops at once, and loses the segment"
        )
        restore()

    def check() -> None:
        if received:
            raise Interrupted(received[0])

    try:
        for s in previous:
            signal.signal(s, receive)
        yield check
    finally:
        restore()
