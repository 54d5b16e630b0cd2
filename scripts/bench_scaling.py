"""Times members and batches over several devices, one JSON line a measurement.

  python scripts/bench_scaling.py [--devices=1,2,4,8] [--model=lenet] [--per_device=1]
      [--steps=200] [--repeats=5]

Each number of devices has a process of its own. On CPU they are forced: more of them
than cores share these, and `ratio` is cores / devices at best; `cores` says how many.

- `start`: seconds from the process's start to the end of its imports, to its devices, to
  data and init, and to the end of its first call, compiled anew.
- `members`: member steps a second at fixed work per device, `per_device` members on
  each; `ratio` is the time of one device's share alone, of that of all: 1 at best.
- `data_axis`, of numbers that divide the batch: one member whose batches are split over
  the devices: milliseconds a step, `ratio` to one device's, and the all-reduces.
"""

import argparse
import functools
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
from cases import Case, make_case
from timing import ratio, timed

import lth_jax
from lth_jax import devices

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


def measure(args: argparse.Namespace, num_devices: int) -> None:
    """All measurements of one number of devices, in this process."""
    num_found = jax.local_device_count()
    if num_found != num_devices:
        sys.exit(f"--devices: {num_devices}; there are {num_found}")
    moments = {"imports_s": IMPORTED, "devices_s": time.time()}
    case = make_case(args.model, args.steps, "float32")
    moments["data_and_init_s"] = time.time()
    many = num_devices * args.per_device
    calls = {
        "one": program(case, 1, 1),
        "device": program(case, args.per_device, 1),
        "members": program(case, many, 1),
        "split": program(case, 1, num_devices),
    }
    jax.block_until_ready(calls["members"]())
    moments["first_steps_s"] = time.time()
    told = {"devices": num_devices, "cores": devices.num_cores()}
    seconds = {name: round(at - args.began, 2) for name, at in moments.items()}
    case.report("start", **told, **seconds)

    taken = timed(calls, args.repeats)
    rate = many * args.steps / statistics.median(taken["members"])
    case.report(
        "members",
        **told,
        members=many,
        member_steps_per_s=round(rate, 1),
        ratio=ratio(taken["device"], taken["members"]),
    )
    if case.indices.shape[1] % num_devices == 0:
        split = calls["split"]
        text = jax.jit(split.func).lower(*split.args).compile().as_text()
        case.report(
            "data_axis",
            **told,
            step_ms=case.step_ms(taken["split"]),
            ratio=ratio(taken["split"], taken["one"]),
            all_reduces=text.count(" all-reduce("),
        )


def main() -> None:
    """Starts a process for each number of devices; in one, measures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--devices", default="1,2,4,8", help="numbers of them")
    parser.add_argument("--model", default="lenet", help="of scripts/cases.py")
    parser.add_argument("--per_device", type=int, default=1, help="members")
    parser.add_argument("--steps", type=int, default=200, help="in a call")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--began", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.began is not None:
        measure(args, int(args.devices))
        return
    for number in args.devices.split(","):
        flags = os.environ.get("XLA_FLAGS", "")
        flags += f" --xla_force_host_platform_device_count={number}"
        own = [f"--devices={number}", f"--began={time.time()}"]  # the last ones count
        command = [sys.executable, *sys.argv, *own]
        gpus = ",".join(map(str, range(int(number))))
        env = {**os.environ, "XLA_FLAGS": flags, "CUDA_VISIBLE_DEVICES": gpus}
        subprocess.run(command, env=env, check=True)


if __name__ == "__main__":
    main()
