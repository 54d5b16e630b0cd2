"""Engine: Parsl submits studies, tries again what died, and follows."""

import concurrent.futures
import functools
import logging
import pathlib
import shlex
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from lth_jax.errors import Exit

_RETRIES = 3  # of a study that dies and has saved nothing new; others cost nothing
_log = logging.getLogger(__name__)


class Job(NamedTuple):
    """A study to train, by a command; what that prints is added to the log."""

    name: str
    command: list[str]  # after `python -m`
    workdir: pathlib.Path
    log: pathlib.Path


def run(jobs: Sequence[Job], executor: Any, folder: pathlib.Path) -> set[str]:
    """Trains studies on the workers of an executor; gives names of those that failed.

    Says how each ends. Parsl writes what it does to the folder.
    """
    import parsl

    logging.getLogger("parsl").propagate = False  # parsl.log has it
    config = parsl.Config(
        executors=[executor],
        retries=_RETRIES,
        retry_handler=functools.partial(_cost, {}),
        run_dir=str(folder),
        strategy="htex_auto_scale",  # gives back nodes that have nothing to do
    )
    failed = set()
    with parsl.load(config) as kernel:
        submit = parsl.bash_app(in_bash, data_flow_kernel=kernel)
        running = {submit(job, stdout=str(job.log)): job for job in jobs}
        for future in concurrent.futures.as_completed(running):
            job, error = running[future], future.exception()
            if error:
                failed.add(job.name)
            told = f"{error}; see {job.log}" if error else "finished"
            print(f"{job.name}: {told}", file=sys.stderr, flush=True)
    return failed


def in_bash(job: Job, stdout: str | None = None, wait_seconds: float = 10.0) -> str:
    """What a worker runs: the command, also after another process left the workdir.

    That may be the study itself, which outlived its worker.
    """
    study = shlex.join([sys.executable, "-m", *job.command])
    in_use = f"{study} </dev/null 2>&1; code=$?; [ $code = {Exit.TRY_AGAIN:d} ]"
    return f"while {in_use}; do sleep {wait_seconds}; done; exit $code"


def _cost(newest: dict[str, float], error: Exception, record: Any) -> float:
    """What an attempt that failed costs, out of a study's retries.

    All if another cannot be better; nothing if it saved something new since `newest`,
    which is of the attempt before; else 1.
    """
    from parsl.executors.errors import BadStateException

    (job,) = record["args"]
    code = getattr(error, "exitcode", None)  # of a `BashExitFailure`
    if code == Exit.WRONG or isinstance(error, BadStateException):
        return float("inf")
    _log.warning("%s: %s", job.name, error)
    before = newest.get(job.name, 0.0)
    found = (job.workdir / "checkpoints").rglob("*")
    newest[job.name] = max((path.stat().st_mtime for path in found), default=0.0)
    return 0 if code == Exit.SAVED or newest[job.name] > before else 1
