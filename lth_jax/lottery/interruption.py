"""Interruption: signals that ask a study to save its training and stop.

A scheduler that takes a machine away sends a signal, waits some 30 s, and kills. Every
such signal is the same request: save, and exit with the code that means "run me again".
"""

import contextlib
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import jax

from lth_jax import devices
from lth_jax.errors import Exit

SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
ANSWER_SECONDS = 25.0  # within which a study stops; most schedulers kill after 30
_ONE_REQUEST_SECONDS = 1.0  # Slurm sends two SIGTERMs 10 ms apart


class Interrupted(Exception):
    """The study was asked to stop, and has saved its state."""


class Interruption:
    """Asks a study to stop. This base class never asks; a subclass may."""

    is_unsaved = False  # whether stopping at once would lose training
    # The seconds until the call in flight ends; None if unknown.
    seconds_left: Callable[[], float | None] = staticmethod(lambda: None)

    def is_asked(self) -> bool:
        """Whether to stop now: True in all processes if one of them was told to stop.

        The executor calls it between any two compiled calls of training.
        """
        return devices.any_of(self.is_told())

    def is_told(self) -> bool:
        """Whether this process was told to stop."""
        return False

    def check(self) -> None:
        """Raises `Interrupted` if the study is asked to stop; all must be saved."""
        if self.is_asked():
            raise Interrupted

    @contextlib.contextmanager
    def unsaved(
        self, seconds_left: Callable[[], float | None] = lambda: None
    ) -> Iterator[None]:
        """A context in which nets train: a request waits for `is_asked` or for its end.

        `seconds_left` returns the seconds until the call in flight ends, or None.

        Raises:
          Interrupted: at the end of the context, if the study is asked to stop.
        """
        self.seconds_left = seconds_left
        self.is_unsaved = True
        try:
            yield
        finally:
            self.is_unsaved = False
        self.check()


class Signals(Interruption):
    """Asks a study to stop on a signal, between `listen` and `close`.

    The main thread calls both. Signals within a second of the first are one request.
    The first signal ends a single process at once if all is saved. A later signal ends
    any process at once. A call that runs for more than `ANSWER_SECONDS` after the first
    signal also ends the process; unsaved training is lost then. A thread of its own acts
    on signals, since the main thread may compile or compute for long. A hangup signal
    that is ignored, as under nohup, stays ignored.
    """

    def __init__(self, announce: Callable[[str], None]):
        self._announce = announce
        self._asked_at: float | None = None
        self._is_heard = False  # whether the main thread saw the request between calls

    def listen(self) -> None:
        """Starts to handle signals."""
        self._ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._theirs = theirs
        self._thread = threading.Thread(target=self._receive_all, daemon=True)
        self._thread.start()
        self._fd_before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self._before = {
            s: signal.signal(s, _leave_to_the_thread)
            for s in SIGNALS
            if (s, signal.getsignal(s)) != (signal.SIGHUP, signal.SIG_IGN)
        }

    def close(self) -> None:
        """Stops handling signals, and restores the handlers from before `listen`."""
        for s, handler in self._before.items():
            signal.signal(s, handler)
        signal.set_wakeup_fd(self._fd_before)
        self._theirs.close()
        self._thread.join()
        self._ours.close()

    def is_told(self) -> bool:
        """Whether a signal came."""
        return self._asked_at is not None

    def is_asked(self) -> bool:
        """As in the base class; a later request waits for the end of the next call."""
        self._is_heard = self.is_told()
        return super().is_asked()

    def _receive_all(self) -> None:
        while True:
            try:
                numbers = self._ours.recv(64)
            except TimeoutError:
                self._give_up()
                continue
            if not numbers:
                return
            for number in numbers:
                if number in SIGNALS:
                    self._receive(signal.Signals(number))

    def _give_up(self) -> None:
        """Ends the process unless it is saving; its scheduler would kill it soon."""
        self._ours.settimeout(None)
        if not self._is_heard:
            self._end(
                f"the compiled call goes on after {ANSWER_SECONDS:.0f} s; what was"
                " trained since the last checkpoint is lost; go on with the same command"
            )

    def _receive(self, received: signal.Signals) -> None:
        now = time.monotonic()
        if self._asked_at is None:
            # Set before `is_unsaved` is read: `unsaved` uses them in the other order.
            self._asked_at = now
            # One process that ends alone would take the other processes down.
            if not self.is_unsaved and not jax.distributed.is_initialized():
                self._end(f"{received.name}: all is saved; go on with the same command")
            seconds = self.seconds_left()
            when = "" if seconds is None else f" in about {max(1, math.ceil(seconds))} s"
            self._announce(
                f"{received.name}: saving as soon as this compiled call ends{when}; once"
                " more stops at once, and loses what is not saved"
            )
            self._ours.settimeout(ANSWER_SECONDS)
        elif now - self._asked_at > _ONE_REQUEST_SECONDS:
            self._end(f"{received.name}: stopping at once", 128 + received)

    def _end(self, text: str, code: int = Exit.SAVED) -> None:
        try:
            self._announce(text)
        finally:
            os._exit(code)


def _leave_to_the_thread(signum: int, frame: object) -> None:
    """Does nothing. Python writes a signal to the wakeup fd only if it has a handler."""
