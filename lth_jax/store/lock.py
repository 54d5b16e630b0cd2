"""Lock: one process at a time works in a folder, and others are told which.

What is promised: on one host, and on file systems that share `flock` between hosts (NFS
with its lock service, Lustre mounted with `flock`, GPFS), no two processes hold a lock.
It is the kernel's, or the file server's, so that one whose holder was killed is free; a
file server may take a lease's length, 90 s on NFS 4, to see that a whole host is gone.

What is not: where a mount keeps locks to itself (NFS with `nolock` or `local_lock`, many
object stores), two hosts may both get one. Then the next best: who comes after a holder
on another host that did not give its lock back is warned, and told which.
"""

import contextlib
import dataclasses
import datetime
import errno
import fcntl
import json
import logging
import os
import pathlib
import socket
from collections.abc import Iterator, Mapping
from typing import Any

_UNKNOWN_THERE = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Holder:
    """The process that holds a lock."""

    host: str
    pid: int
    job: str | None  # as a cluster names it
    since: str

    @classmethod
    def this(cls) -> "Holder":
        """This process, from now on."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return cls(socket.gethostname(), os.getpid(), job_of(os.environ), now)

    def __str__(self) -> str:
        job = "" if self.job is None else f"{self.job}, "
        return f"{job}process {self.pid} on {self.host}, since {self.since}"


class Held(Exception):
    """A lock that another process has; its holder, None where that left no name yet."""

    def __init__(self, holder: Holder | None):
        super().__init__(str(holder or "another process"))
        self.holder = holder


def job_of(variables: Mapping[str, str]) -> str | None:
    """The cluster's job that a process of such an environment is part of."""
    if job := variables.get("SLURM_JOB_ID"):
        array, task = (variables.get(f"SLURM_ARRAY_{x}_ID") for x in ("JOB", "TASK"))
        return f"Slurm job {array}_{task}" if array and task else f"Slurm job {job}"
    if "KUBERNETES_SERVICE_HOST" in variables:
        name, index = map(variables.get, ("JOB_NAME", "JOB_COMPLETION_INDEX"))
        if name:
            return f"Kubernetes job {name}" + (f", index {index}" if index else "")
        return f"Kubernetes pod {variables.get('HOSTNAME', socket.gethostname())}"
    return None


@contextlib.contextmanager
def locked(path: pathlib.Path) -> Iterator[None]:
    """Holds the lock of a file, which names the holder meanwhile.

    Raises:
      Held: if another process does.
      OSError: if the file cannot be written.
    """
    # Neither truncated, which would take the holder's name, nor in need of being there.
    with open(
        os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+", encoding="utf-8"
    ) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Held(_read(file)) from None
        except OSError as error:
            if error.errno not in _UNKNOWN_THERE:
                raise
            told = "%s: this file system knows no locks (%s); see that one job runs there"
            _log.warning(told, path, error.strerror)
        left, own = _read(file), Holder.this()
        if left and left.host != own.host:
            told = (
                "%s: taken over from %s, which did not end well; one that runs: stop it"
            )
            _log.warning(told, path, left)
        _write(file, json.dumps(dataclasses.asdict(own)) + "\n")
        try:
            yield
        finally:
            _write(file, "")


def _read(file: Any) -> Holder | None:
    """Who is named; None where nobody is, or what stands there is no name."""
    file.seek(0)
    try:
        return Holder(**json.loads(file.read(4096)))
    except (ValueError, TypeError):
        return None


def _write(file: Any, text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()
