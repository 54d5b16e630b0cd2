"""Joining: how the processes of a job find each other, by `jax.distributed`.

A process joins once, before it uses JAX. It joins only if there are several processes:
by the flags, by a multi-task step of Slurm, or on a TPU. Otherwise it does nothing.
"""

import glob
import importlib.util
from collections.abc import Mapping
from typing import NamedTuple

import jax

from lth_jax.devices.environment import check
from lth_jax.errors import Exit, UserError

# After this time the other processes assume that a silent process is dead, and end.
_HEARTBEAT_SECONDS = 30
_TPU_WORKERS = "TPU_PROCESS_ADDRESSES", "TPU_WORKER_HOSTNAMES"
_START_SECONDS = 300  # within which all processes must join
_SHUTDOWN_SECONDS = 120  # within which all processes must end


class Peers(NamedTuple):
    """The processes that train together; None: JAX finds the value itself."""

    coordinator: str | None = None  # host:port of the first process
    num_processes: int | None = None
    process_id: int | None = None
    local_device_ids: tuple[int, ...] | None = None
    may_be_alone: bool = False


class NotMet(UserError):
    """The processes of a job do not find each other."""

    exit_code = Exit.LOST


def peers_of(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    variables: Mapping[str, str],
) -> Peers | None:
    """The peers that this process trains with, by flags, Slurm or a TPU; None: none.

    Raises:
      UserError: if only some of the flags are given, or their values are not allowed.
    """
    given = coordinator, num_processes, process_id
    if None not in given:
        assert num_processes is not None and process_id is not None
        if num_processes < 1:
            raise UserError(f"--num_processes: {num_processes}; must be at least 1")
        if not 0 <= process_id < num_processes:
            raise UserError(
                f"--process_id: {process_id}; must be from 0 to {num_processes - 1},"
                " one less than --num_processes"
            )
        if ":" not in str(coordinator):
            raise UserError(
                f"--coordinator: {coordinator!r}; must be host:port, such as node1:8476"
            )
        return Peers(*given) if num_processes > 1 else None
    if given != (None, None, None):
        names = "--coordinator", "--num_processes", "--process_id"
        missing = [n for n, v in zip(names, given, strict=True) if v is None]
        raise UserError(f"{missing[0]}: missing; the three flags belong together")
    if int(variables.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return Peers(local_device_ids=_slurm_device_ids(variables))
    if not _is_tpu(variables):
        return None
    workers = [variables[name] for name in _TPU_WORKERS if name in variables]
    slices = int(variables.get("MEGASCALE_NUM_SLICES", "1"))
    if workers and slices == 1 and not any("," in names for names in workers):
        return None
    return Peers(may_be_alone=not workers)


def join(peers: Peers) -> None:
    """Joins the peers, and waits until all have joined.

    Raises:
      UserError: if they do not join in time, or have different numbers of devices.
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_preemption_service", False)  # it takes SIGTERM from us
    # One process may find a program in its cache that another has to compile. It would
    # wait for the other in vain: Gloo waits 30 s, and a GPU's autotuning for ever.
    jax.config.update("jax_enable_compilation_cache", False)
    given = peers.coordinator is not None
    try:
        jax.distributed.initialize(
            *peers[:4],
            cluster_detection_method="deactivate" if given else None,
            initialization_timeout=_START_SECONDS,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=_SHUTDOWN_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        if peers.may_be_alone and isinstance(error, ValueError):
            return  # a TPU that names no other hosts
        what = " ".join(str(error).split())
        raise NotMet(f"the processes of this job do not meet ({what})") from None
    check()
    counts = {
        process: sum(d.process_index == process for d in jax.devices())
        for process in range(jax.process_count())
    }
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} of process {p}" for p, count in counts.items())
        raise UserError(f"every process must have as many devices as any other; {told}")


def _slurm_device_ids(variables: Mapping[str, str]) -> tuple[int, ...] | None:
    """The GPUs that a task takes, by position among those that it sees.

    It takes all of them if it is alone on its node or sees only its own. If n tasks share
    them, it takes every n-th. None: JAX takes one, by the task's number.
    """
    visible = variables.get("CUDA_VISIBLE_DEVICES")
    if not visible:
        return None
    number = len(visible.split(","))
    local, tasks = int(variables["SLURM_LOCALID"]), _tasks_on_node(variables)
    on_node = int(variables.get("SLURM_GPUS_ON_NODE", number))
    if 1 < tasks <= number and number * tasks > on_node:
        return tuple(range(local, number, tasks))
    return tuple(range(number))


def _tasks_on_node(variables: Mapping[str, str]) -> int:
    """How many tasks of a step run on this node, from a list such as "2(x3),1"."""
    counts: list[int] = []
    for part in variables["SLURM_STEP_TASKS_PER_NODE"].split(","):
        count, _, times = part.rstrip(")").partition("(x")
        counts += [int(count)] * int(times or 1)
    return counts[int(variables["SLURM_NODEID"])]


def _is_tpu(variables: Mapping[str, str]) -> bool:
    """Whether JAX will train on this machine's TPU."""
    asked = variables.get("JAX_PLATFORMS", "tpu").split(",")
    has_device = glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*")
    return "tpu" in asked and bool(has_device and importlib.util.find_spec("libtpu"))
