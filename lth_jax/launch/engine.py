"""Engine: Parsl submits studies as jobs, retries those that die, and waits for them."""

import concurrent.futures
import functools
import io
import logging
import pathlib
import shlex
import signal
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from lth_jax.errors import Exit

_FIRST_SECONDS, _SECONDS = 10, 60  # before the first lines on progress, and between
_RETRIES = 3  # per study; only a retry after an attempt that saved nothing new counts
_log = logging.getLogger(__name__)


class Job(NamedTuple):
    """A study to train by a command, whose output is appended to the log."""

    name: str
    command: list[str]  # the module and its flags, after `python -m`
    workdir: pathlib.Path
    log: pathlib.Path


def run(jobs: Sequence[Job], executor: Any, folder: pathlib.Path) -> set[str]:
    """Trains studies on an executor's workers; returns the names of those that failed.

    It prints how each study ends, and how far the others are. Parsl writes
    its own logs to the folder.
    """
    import parsl

    logging.getLogger("parsl").propagate = False  # Parsl also writes parsl.log
    config = parsl.Config(
        executors=[executor],
        retries=_RETRIES,
        retry_handler=functools.partial(_cost, {}),
        run_dir=str(folder),
        strategy="htex_auto_scale",  # releases idle nodes
    )
    failed = set()
    with parsl.load(config) as kernel:
        submit = parsl.bash_app(in_bash, data_flow_kernel=kernel)
        running = {submit(job, stdout=str(job.log)): job for job in jobs}
        shown: dict[str, str] = {}
        while running:
            ended, _ = concurrent.futures.wait(
                running,
                _SECONDS if shown else _FIRST_SECONDS,
                concurrent.futures.FIRST_COMPLETED,
            )
            if not ended:
                _show_progress(running.values(), shown)
            for future in ended:
                job, error = running.pop(future), future.exception()
                if error:
                    failed.add(job.name)
                _say(job, f"{error}; see {job.log}" if error else "finished")
    return failed


def _show_progress(jobs: Iterable[Job], shown: dict[str, str]) -> None:
    """Prints the last line of each log that has a new one; `shown` keeps the last."""
    for job in jobs:
        line = last_line(job.log)
        if line and line != shown.get(job.name):
            shown[job.name] = line
            _say(job, line)


def last_line(log: pathlib.Path) -> str:
    """Returns the last line of a log, such as its bar; empty if there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, io.SEEK_END) - 4096))
            lines = stream.read().decode(errors="replace").splitlines()
    except FileNotFoundError:  # no worker has taken it yet
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _say(job: Job, told: str) -> None:
    print(f"{job.name}: {told}", file=sys.stderr, flush=True)


def in_bash(job: Job, stdout: str | None = None, wait_seconds: float = 10.0) -> str:
    """Returns the shell command of a worker, which waits while the workdir is in use.

    The workdir may be in use by the same study, if it outlived its previous worker.
    """
    study = shlex.join([sys.executable, "-m", *job.command])
    in_use = f"{study} </dev/null 2>&1; code=$?; [ $code = {Exit.TRY_AGAIN:d} ]"
    return f"while {in_use}; do sleep {wait_seconds}; done; exit $code"


def _told(error: Exception, code: int | None) -> str:
    """How an attempt ended; `code` is its exit code, if it had one."""
    if code is None:
        return str(error)
    if code == Exit.SAVED:
        return "stopped and saved"
    name = signal.strsignal(code - 128) if 128 < code < 128 + signal.NSIG else None
    return f"exit code {code}" if name is None else f"ended by a signal ({name})"


def _cost(newest: dict[str, float], error: Exception, record: Any) -> float:
    """The number of a study's retries that a failed attempt uses up.

    It is all of them if another attempt cannot succeed. It is 0 if this attempt was
    stopped and saved, or left a checkpoint newer than those of the attempts before, whose
    times are in `newest`. Otherwise it is 1.
    """
    from parsl.executors.errors import BadStateException

    (job,) = record["args"]
    code = getattr(error, "exitcode", None)  # only a `BashExitFailure` has one
    if code == Exit.WRONG or isinstance(error, BadStateException):
        return float("inf")
    before = newest.get(job.name, 0.0)
    found = (job.workdir / "checkpoints").rglob("*")
    newest[job.name] = max((path.stat().st_mtime for path in found), default=0.0)
    cost = 0 if code == Exit.SAVED or newest[job.name] > before else 1
    goes_on = record.get("fail_cost", 0) + cost <= _RETRIES
    _log.warning(
        "%s: %s; %s",
        job.name,
        _told(error, code),
        "trying again" if goes_on else "giving up",
    )
    return cost
