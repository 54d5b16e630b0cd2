"""Times members and batches over devices and processes, one JSON line a measurement.

  python scripts/bench_scaling.py [--devices=1,2,4,8] [--processes=1,2] [--model=lenet]
      [--per_device=1] [--steps=200] [--repeats=5]

Each number of devices has processes of its own, and these an equal share of it. On CPU
devices are forced: more of them than cores share these, and `ratio` is cores / devices
at best; `cores` says how many.

- `start`: seconds from the process's start to the end of its imports, to its devices
  (and to the other processes), to data and init, and to the end of its first call,
  compiled anew.
- `members`: member steps a second at fixed work per device, `per_device` members on
  each; `ratio` is the time of one device's share alone (of one device in each process),
  of that of all: 1 at best. `peak_megabytes` is what a device has had in use; None: it
  does not tell.
- `data_axis`, of numbers that divide the batch: one member whose batches are split over
  the devices: milliseconds a step, `ratio` to one device's, and the all-reduces.
- `checkpoint`: seconds to gather and save the state of all members, and to restore it
  in every process; megabytes.
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
    """What trains so many copies of a net, each on so many devices, when called."""
    steps = lth_jax.make_steps(devices.by_data(case.apply), case.tx)

    def train(state: Any, masks: Any, indices: jax.Array, train: Any) -> Any:
        return steps(state, masks, devices.split_batch(indices, axis=1), train, case.key)

    batched = devices.over_members(train, num_members, num_shared=1, num_data=num_data)
    one = case.state, case.masks, jnp.asarray(case.indices)
    members = jax.tree.map(lambda x: jnp.stack([x] * num_members), one)
    data = devices.replicated(case.train, num_members, num_data)
    return functools.partial(batched, *members, data)


def measure(args: argparse.Namespace, num_devices: int, num_processes: int) -> None:
    """All measurements of one number of devices and processes, in one of these."""
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
    # The others measure the same.
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
    """The most memory that the first device has had in use."""
    told = jax.local_devices()[0].memory_stats() or {}
    peak = told.get("peak_bytes_in_use")
    return None if peak is None else round(peak / 1e6, 1)


def checkpoint(state: Any, repeats: int) -> dict[str, float]:
    """Seconds to save and restore what members have come to."""
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
    """Starts a process for each number of devices; in one, measures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--devices", default="1,2,4,8", help="numbers of them")
    parser.add_argument("--processes", default="1", help="numbers of them")
    parser.add_argument("--model", default="lenet", help="of scripts/cases.py")
    parser.add_argument("--per_device", type=int, default=1, help="members")
    parser.add_argument("--steps", type=int, default=200, help="in a call")
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
    """Starts processes that share so many devices, and waits for them."""
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
        # Of flags that are given twice the last ones count.
        running.append(subprocess.Popen([sys.executable, *sys.argv, *own], env=env))
    if any([process.wait() for process in running]):
        sys.exit(1)


if __name__ == "__main__":
    main()
