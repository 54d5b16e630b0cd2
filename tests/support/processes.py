"""Processes: those that others started, found by their command lines, as on Linux."""

import contextlib
import os
import pathlib
import signal
import time


def running(*words: str) -> list[int]:
    """Processes whose command lines have all these words in them."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            if all(word in command for word in words):
                found.append(int(entry.name))
    return found


def parent(pid: int) -> int:
    """The process that started one."""
    status = pathlib.Path("/proc", str(pid), "status").read_text()
    return int(status.partition("PPid:")[2].split()[0])


def kill(*pids: int, signum: int = signal.SIGKILL) -> None:
    """Sends a signal to processes, whichever are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def wait_for(what, seconds: float = 120.0, every: float = 0.05):
    """What a function gives as soon as it is not false.

    Raises:
      TimeoutError: if it stays so.
    """
    end = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} still gives {found!r} after {seconds} s")
        time.sleep(every)
    return found
