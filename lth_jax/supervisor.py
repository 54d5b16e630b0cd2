"""Supervisor: the parent of a process that trains with others.

When a process of a job is lost, JAX aborts the others inside C++ with a long text. Each
process therefore runs as the child of a supervisor, which waits and reports how it ended.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from lth_jax.errors import Exit
from lth_jax.lottery.interruption import SIGNALS

_PARENT = "LTH_JAX_SUPERVISOR"  # environment variable: the supervisor's process id
_SET_PARENT_DEATH_SIGNAL = 1  # prctl's option, from linux/prctl.h


def is_child() -> bool:
    """Returns whether this process has a supervisor; on Linux it then dies with it."""
    parent = os.environ.pop(_PARENT, None)  # its own children must not see it
    if parent is None:
        return False
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGKILL))
        if os.getppid() != int(parent):
            os._exit(Exit.LOST)
    return True


def run_child(module: str, arguments: Sequence[str]) -> tuple[int, str]:
    """Runs a command as a child; passes on signals that ask it to stop.

    Returns the exit code, and an error message if the child could not print one, else "".
    """
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, _PARENT: str(os.getpid())}
    is_asked = False
    child: subprocess.Popen[bytes] | None = None

    def hand_on(signum: int, frame: FrameType | None) -> None:
        nonlocal is_asked
        is_asked = True
        if child is not None:
            child.send_signal(signum)

    for each in SIGNALS:
        if signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, hand_on)
    child = subprocess.Popen(command, env=environment)
    if is_asked:
        child.send_signal(signal.SIGTERM)
    code = child.wait()
    if code >= 0:
        return code, ""
    name = signal.Signals(-code).name
    if is_asked:
        return Exit.SAVED, f"ended by {name} when asked to stop"
    if code == -signal.SIGABRT:
        return Exit.LOST, f"another process of this job is lost ({name})"
    return 128 - code, f"killed ({name})"
