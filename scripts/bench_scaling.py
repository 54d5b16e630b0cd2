"""Times members and batches over devices and processes, one JSON line per measurement.

  python scripts/bench_scaling.py [--devices=1,2,4,8] [--processes=1,2] [--model=lenet]
      [--per_device=1] [--steps=200] [--repeats=5]

Each number of devices is measured in new processes, which have equal shares of them. On
CPU the devices are forced. If there are more devices than cores, they share the cores,
and `ratio` is cores / devices at best; `cores` is the number of cores.

- `start`: seconds from the process's start until its imports are done, its devices (and
  the other processes) are found, data and init are ready, and its first call ends,
  compiled anew.
- `members`: member steps a second at fixed work, with `per_device` members on each
  device. `ratio` is the time of one device's share (of one device in each process) over
  the time of all: 1 at best. `peak_megabytes` is the most memory that a device has used;
  None if the device does not report it.
- `data_axis`, for numbers that divide the batch: one member whose batches are split over
  the devices. It has milliseconds a step, the `ratio` to one device, and the number of
  all-reduces.
- `checkpoint`: seconds to gather and save the state of all members, and to restore it
  in every process; also megabytes.
"""

import argparse
import functools
import itertools
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
from cases import Case, make_case
from timing import ratio, timed

import lth_jax
from lth_jax import devices
from lth_jax.devices.joining import Peers, join
from lth_jax.store import checkpoints

IMPORTED = time.time()


def program(case: Case, num_members: int, num_data: int) -> functools.partial[Any]:
    """Returns a call that trains `num_members` copies, each on `num_data` devices."""
    steps = lth_jax.make_steps(devices.by_data(case.apply), case.tx)

    def train(state: Any, masks: Any, indices: jax.Array, train: Any) -> Any:
        return steps(state, masks, devices.split_batch(indices, axis=1), train, case.key)

    batched = devices.over_members(train, num_members, num_shared=1, num_data=num_data)
    one = case.state, case.masks, jnp.asarray(case.indices)
    members = jax.tree.map(lambda x: jnp.stack([x] * num_members), one)
    data = devices.replicated(case.train, num_members, num_data)
    return functools.partial(batched, *members, data)


def measure(args: argparse.Namespace, num_devices: int, num_processes: int) -> None:
    """Measures one number of devices and processes, in one of the processes."""
    if num_processes > 1:
        join(Peers(args.coordinator, num_processes, args.rank))
    if (num_found := jax.device_count()) != num_devices:
        sys.exit(f"--devices: {num_devices}; there are {num_found}")
    moments = {"imports_s": IMPORTED, "devices_s": time.time()}
    case = make_case(args.model, args.steps, "float32")
    moments["data_and_init_s"] = time.time()
    many = num_devices * args.per_device
    calls = {
        "one": program(case, 1, 1),
        "device": program(case, args.per_device * num_processes, 1),
        "members": program(case, many, 1),
        "split": program(case, 1, num_devices),
    }
    jax.block_until_ready(calls["members"]())
    moments["first_steps_s"] = time.time()
    told = {"devices": num_devices, "processes": num_processes}
    told["cores"] = devices.num_cores()
    # The other processes measure the same, and do not print it.
    report = case.report if devices.is_first() else lambda name, **values: None
    seconds = {name: round(at - args.began, 2) for name, at in moments.items()}
    report("start", **told, **seconds)

    taken = timed(calls, args.repeats)
    rate = many * args.steps / statistics.median(taken["members"])
    report(
        "members",
        **told,
        members=many,
        member_steps_per_s=round(rate, 1),
        ratio=ratio(taken["device"], taken["members"]),
        peak_megabytes=peak_megabytes(),
    )
    if case.indices.shape[1] % num_devices == 0:
        split = calls["split"]
        text = jax.jit(split.func).lower(*split.args).compile().as_text()
        report(
            "data_axis",
            **told,
            step_ms=case.step_ms(taken["split"]),
            ratio=ratio(taken["split"], taken["one"]),
            all_reduces=text.count(" all-reduce("),
        )
    report("checkpoint", **told, **checkpoint(calls["members"]()[0], args.repeats))


def peak_megabytes() -> float | None:
    """Returns the most memory that the first device has used, or None if unknown."""
    told = jax.local_devices()[0].memory_stats() or {}
    peak = told.get("peak_bytes_in_use")
    return None if peak is None else round(peak / 1e6, 1)


def checkpoint(state: Any, repeats: int) -> dict[str, float]:
    """Returns the seconds to save and restore the members' state, and its megabytes."""
    folder = pathlib.Path(devices.from_first(tempfile.mkdtemp))
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state)
    taken = timed(
        {
            "save": lambda: checkpoints.save(folder / "state", state),
            "restore": lambda: checkpoints.load_or_none(folder / "state", like),
        },
        repeats,
    )
    if devices.is_first():
        shutil.rmtree(folder)
    num_bytes = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(like))
    seconds = {f"{n}_s": round(statistics.median(s), 3) for n, s in taken.items()}
    return {**seconds, "megabytes": round(num_bytes / 1e6, 1)}


def main() -> None:
    """Starts processes for each number of devices; in such a process, measures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--devices", default="1,2,4,8", help="numbers of devices")
    parser.add_argument("--processes", default="1", help="numbers of processes")
    parser.add_argument("--model", default="lenet", help="a model of scripts/cases.py")
    parser.add_argument("--per_device", type=int, default=1, help="members per device")
    parser.add_argument("--steps", type=int, default=200, help="steps in one call")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--began", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--coordinator", help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.began is not None:
        measure(args, int(args.devices), int(args.processes))
        return
    numbers = [list(map(int, x.split(","))) for x in (args.devices, args.processes)]
    for num_devices, num_processes in itertools.product(*numbers):
        if num_devices % num_processes == 0:
            start(num_devices, num_processes)


def start(num_devices: int, num_processes: int) -> None:
    """Starts processes that share `num_devices` devices, and waits for them."""
    each, running = num_devices // num_processes, []
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    for rank in range(num_processes):
        flags = os.environ.get("XLA_FLAGS", "")
        flags += f" --xla_force_host_platform_device_count={each}"
        own = [f"--devices={num_devices}", f"--processes={num_processes}"]
        own += [f"--coordinator={address}", f"--rank={rank}", f"--began={time.time()}"]
        gpus = ",".join(map(str, range(rank * each, (rank + 1) * each)))
        env = {**os.environ, "XLA_FLAGS": flags, "CUDA_VISIBLE_DEVICES": gpus}
        # If a flag appears twice, argparse uses the last one.
        running.append(subprocess.Popen([sys.executable, *sys.argv, *own], env=env))
    if any([process.wait() for process in running]):
        sys.exit(1)


if __name__ == "__main__":
    main()
