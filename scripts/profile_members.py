"""Profiles members that train in one call, and shows which kernels take the time.

  python scripts/profile_members.py [--model=conv6] [--members=5] [--how=vmap]
      [--steps=30] [--compute_dtype=bfloat16] [--rows=20]

It prints the wall-clock time of the call without the profiler, and the kernels sorted by
their total time. A device may run several kernels at once. The sum of their times may
therefore exceed the call's. It needs a GPU: on CPU the profiler shows no kernels.
"""

import argparse
import collections
import gzip
import json
import pathlib
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
from cases import make_case

import lth_jax
from lth_jax.devices import over_members, replicated


def kernels(events: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Returns the milliseconds of each call of a GPU kernel, by name, from a trace."""
    named = [e for e in events if e.get("name") == "process_name"]
    devices = {e["pid"] for e in named if "GPU" in e["args"]["name"]}
    found: dict[str, list[float]] = collections.defaultdict(list)
    for event in events:
        if event.get("ph") == "X" and event["pid"] in devices:
            found[event["name"]].append(event["dur"] / 1e3)
    return found


def main() -> None:
    """Profiles one call, after two others that compile it and warm up."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="conv6")
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--how", choices=("vmap", "map"), default="vmap")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--compute_dtype", default="float32")
    parser.add_argument("--rows", type=int, default=20)
    args = parser.parse_args()

    case = make_case(args.model, args.steps, args.compute_dtype)
    steps = lth_jax.make_steps(case.apply, case.tx)

    def run(state: Any, masks: Any, indices: Any, key: Any, train: Any) -> Any:
        return steps(state, masks, indices, train, key)

    batched = over_members(run, args.members, num_shared=1, how=args.how)
    member = (case.state, case.masks, jnp.asarray(case.indices), case.key)
    stacked = jax.tree.map(lambda x: jnp.stack([x] * args.members), member)
    train = replicated(case.train, args.members)
    for _ in range(2):
        began = time.perf_counter()
        jax.block_until_ready(batched(*stacked, train))
    milliseconds = 1e3 * (time.perf_counter() - began)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, create_perfetto_trace=True):
            jax.block_until_ready(batched(*stacked, train))
        (path,) = pathlib.Path(folder).rglob("perfetto_trace.json.gz")
        trace = json.loads(gzip.decompress(path.read_bytes()))
    print(f"{milliseconds:.2f} ms for {args.members} members, {args.steps} steps")
    events = trace["traceEvents"] if isinstance(trace, dict) else trace
    found = sorted(kernels(events).items(), key=lambda item: -sum(item[1]))
    for name, taken in found[: args.rows]:
        print(f"{sum(taken):10.3f} ms {len(taken):6d} calls  {name[:90]}")


if __name__ == "__main__":
    main()
