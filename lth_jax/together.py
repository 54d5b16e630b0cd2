"""Together: what a command does as one of several processes of a job."""

import os
import re
import sys
import traceback
from collections.abc import Callable

import jax

from lth_jax import devices
from lth_jax.config import StudyConfig
from lth_jax.devices.joining import Job, join
from lth_jax.errors import Exit, UserError, fail
from lth_jax.store.workdir import differing

# How errors of JAX's runtime begin, whatever their type: one that waits for a process
# which is lost gets such. Out of memory is the command's own to tell.
_OF_RUNTIME = re.compile("(UNKNOWN|UNAVAILABLE|INTERNAL|DEADLINE_EXCEEDED|ABORTED): ")


def run(job: Job, config: StudyConfig, command: Callable[[], int]) -> int:
    """Joins the other processes, and runs the command; returns its exit code.

    Where only this process fails the others wait for it; so it ends at once, for good,
    and they learn of that.

    Raises:
      UserError: if they do not meet, or were started with different configs; and what
        the command raises for all of them.
    """
    _keep_stdout_to_ourselves()
    devices.use_all_cores()
    join(job)
    try:
        _check_same(config)
        return command()
    except UserError:
        raise
    except BaseException as error:
        if _OF_RUNTIME.match(str(error)):
            code = fail(_lost(error), Exit.TRY_AGAIN)
        else:
            traceback.print_exc()
            code = 1
    sys.stderr.flush()
    os._exit(code)


def _keep_stdout_to_ourselves() -> None:
    """Moves to stderr what C++ prints: Gloo tells of each connection on stdout."""
    ours = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = ours


def _check_same(config: StudyConfig) -> None:
    """Raises a `UserError` in every process if one has another config than the first."""
    first = devices.from_first(lambda: config)
    names = differing(first, config, may_differ=("data.raw_dir",))
    if devices.any_of(bool(names)):
        told = f"this one differs in {', '.join(names)}" if names else "others differ"
        raise UserError(
            f"--config: all processes of a job must have the same; {told} from the first"
        )


def _lost(error: BaseException) -> str:
    what = str(error).splitlines()[0]
    return (
        f"process {jax.process_index()}: another process of this job is lost, or JAX's"
        f" runtime failed ({what}); what was saved is kept, and the same command goes on"
    )
