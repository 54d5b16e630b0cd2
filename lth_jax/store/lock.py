"""Lock: one process at a time works in a folder; others learn which it is.

No two processes hold a lock on one host. The same holds on file systems that share
`flock` between hosts: NFS with its lock service, Lustre mounted with `flock`, and GPFS.
The kernel or the file server keeps the lock, and frees it when its holder is killed. A
file server may need one lease, 90 s on NFS 4, to see that a whole host is gone.

Some mounts keep locks on their own host: NFS with `nolock` or `local_lock`, and many
object stores. There, two hosts may hold one lock. If a holder on another host did not
release its lock, the next holder is warned, and the warning names that holder.
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
    job: str | None  # the cluster's name for it
    since: str

    @classmethod
    def this(cls) -> "Holder":
        """Returns this process as a holder whose work starts now."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return cls(socket.gethostname(), os.getpid(), job_of(os.environ), now)

    def __str__(self) -> str:
        job = "" if self.job is None else f"{self.job}, "
        return f"{job}process {self.pid} on {self.host}, since {self.since}"


class Held(Exception):
    """Another process has the lock. `holder` is None if that left no name yet."""

    def __init__(self, holder: Holder | None):
        super().__init__(str(holder or "another process"))
        self.holder = holder


def job_of(variables: Mapping[str, str]) -> str | None:
    """Returns the cluster's name of the job from its environment; None outside a job."""
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
    """Holds the lock of a file, and writes the holder's name into it.

    Raises:
      Held: if another process holds it.
      OSError: if the file cannot be written.
    """
    # Creates the file if it is missing, and does not truncate it: it may name a holder.
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
    """The holder that the file names; None if it names none."""
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
