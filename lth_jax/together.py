"""Together: runs a command as one of a job's several processes."""

import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence

import jax

from lth_jax import devices
from lth_jax.config import StudyConfig
from lth_jax.devices.joining import Peers, join
from lth_jax.errors import Exit, UserError, fail
from lth_jax.store import environment
from lth_jax.store.workdir import differing
from lth_jax.terminal import make_streams_last

# How errors of JAX's runtime begin, whatever their type. A process that waits for a lost
# one raises one of these. The command itself reports when memory runs out.
_OF_RUNTIME = re.compile(
    "(UNKNOWN|UNAVAILABLE|INTERNAL|DEADLINE_EXCEEDED|ABORTED|CANCELLED"
    "|FAILED_PRECONDITION): "
)


def run(
    peers: Peers,
    configs: Sequence[StudyConfig],
    command: Callable[[], int],
    tell: Callable[[Exception], int],
) -> int:
    """Joins the other processes, and runs the command; returns its exit code.

    `configs` are the configs of all studies that the command trains.

    If only this process fails, the others would wait for it forever. It therefore calls
    `tell` with the error, which returns the exit code, and ends at once. The others then
    learn that it ended.

    Raises:
      UserError: if all processes raise it.
    """
    _keep_stdout_to_ourselves()
    devices.use_all_cores()
    try:
        join(peers)
        _check_same(configs)
        return command()
    except Exception as error:
        if isinstance(error, UserError) and error.is_common:
            raise
        code = _told(error, tell)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _told(error: Exception, tell: Callable[[Exception], int]) -> int:
    if _OF_RUNTIME.match(str(error)):
        what = str(error).splitlines()[0]
        return fail(
            f"process {jax.process_index()}: another process of this job is lost, or"
            f" JAX's runtime failed ({what}); what was saved is kept, and the same"
            " command goes on",
            Exit.LOST,
        )
    try:
        return tell(error)
    except Exception:  # not an error that the user can fix: a bug here or in a library
        traceback.print_exc()
        return 1


def _keep_stdout_to_ourselves() -> None:
    """Sends what C++ prints to stderr, because Gloo reports connections on stdout."""
    ours = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = ours
    make_streams_last()


def _check_same(configs: Sequence[StudyConfig]) -> None:
    """Raises a `UserError` in every process if their configs or software differ."""
    firsts = devices.from_first(lambda: configs)
    pairs = zip(firsts, configs, strict=False)
    found = [differing(*pair, may_differ=("data.raw_dir",)) for pair in pairs]
    names = list(dict.fromkeys(name for names in found for name in names))
    names += ["the number of studies"] * (len(firsts) != len(configs))
    if devices.any_of(bool(names)):
        told = f"this one differs in {', '.join(names)}" if names else "others differ"
        _refuse(f"--config: all processes of a job must have the same config; {told}")
    if devices.differ(environment.of_computing()):
        _refuse(
            "all processes of a job must have the same versions, commit and JAX settings"
            " as the first"
        )


def _refuse(told: str) -> None:
    error = UserError(told)
    error.is_common = True
    raise error
