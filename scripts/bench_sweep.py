"""Times a sweep of 12 inits against one study of as many nets, a JSON line per repeat.

  python scripts/bench_sweep.py [--steps=1000] [--levels=5] [--replicates=5] [--repeats=3]

The sweep is 12 studies of configs/mnist1d.py with different inits, each of `--replicates`
replicates. The study has as many replicates as all of them. They run in turn as separate
commands, each with an empty cache of compiled programs. Times include the page.

- `seconds`: those of the sweep and of the study; `ratio` is the first over the second.
- `training_programs`: the number of programs compiled to train and evaluate members.
  `programs` also counts all others, such as those that draw the inits. Programs from the
  cache do not count. `compilation_ratio` is that of the former, and
  `all_compilations_ratio` that of the latter.
- `compiling_seconds`: the time to compile all of them.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

INITS = [
    f"{name}_{shape}"
    for name in ("glorot", "he", "lecun")
    for shape in ("normal", "uniform", "truncated_normal", "signs")
]
SWEEP = f"""
def sweep(add):
    for name in {INITS}:
        add(**{{"init.name": name}})
"""
# Functions that `devices.over_members` makes train and evaluate the members.
COUNTED = """
import json, pathlib, runpy, sys
import jax
out, module, *sys.argv[1:] = sys.argv[1:]
found = {"programs": 0, "hits": 0, "compiling_seconds": 0.0, "training_programs": 0}
compiled = "/jax/core/compile/backend_compile_duration"
def timed(event, seconds, **about):
    if event == compiled:
        found["programs"] += 1
        found["compiling_seconds"] += seconds
        is_training = about["fun_name"] in ("jit(segment)", "jit(evaluate)")
        found["training_programs"] += is_training
def counted(event, **about):
    found["hits"] += event == "/jax/compilation_cache/cache_hits"
jax.monitoring.register_event_duration_secs_listener(timed)
jax.monitoring.register_event_listener(counted)
code = 0
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit as stop:
    code = stop.code
pathlib.Path(out).write_text(json.dumps(found))
sys.exit(code)
"""


def measured(module: str, *flags: str) -> dict[str, Any]:
    """Runs a command; returns its seconds, and the number of programs it compiled."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        counts = folder / "counts.json"
        command = [sys.executable, "-c", COUNTED, str(counts), module, *flags]
        command += [f"--workdir={folder / 'study'}"]
        began = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=pathlib.Path(__file__).parents[1],
            env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            sys.exit(done.stderr)
        found: dict[str, Any] = json.loads(counts.read_text())
    found["programs"] -= found.pop("hits")
    return {"seconds": seconds, **found}


def main() -> None:
    """Runs both commands in turn, and prints each pair and the medians of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=1000, help="steps per net and level")
    parser.add_argument("--levels", type=int, default=5)
    parser.add_argument("--replicates", type=int, default=5, help="replicates per init")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    small = [
        "--config=mnist1d",
        f"--config.num_steps={args.steps}",
        f"--config.num_levels={args.levels}",
        f"--config.checkpoint_every_steps={args.steps}",
    ]
    with tempfile.TemporaryDirectory() as name:
        file = pathlib.Path(name, "inits.py")
        file.write_text(SWEEP)
        each = f"--config.num_replicates={args.replicates}"
        all_ = f"--config.num_replicates={args.replicates * len(INITS)}"
        ratios = []
        for _ in range(args.repeats):
            sweep = measured("lth_jax.sweep", *small, each, f"--sweep={file}")
            study = measured("lth_jax.main", *small, all_)
            pair = {key: [round(x[key], 2) for x in (sweep, study)] for key in sweep}
            ratio = {
                "ratio": sweep["seconds"] / study["seconds"],
                "compilation_ratio": sweep["training_programs"]
                / study["training_programs"],
                "all_compilations_ratio": sweep["programs"] / study["programs"],
            }
            ratios.append(ratio)
            rounded = {key: round(value, 3) for key, value in ratio.items()}
            print(json.dumps({**pair, **rounded}), flush=True)
    medians = {
        key: round(statistics.median(ratio[key] for ratio in ratios), 3)
        for key in ratios[0]
    }
    print(json.dumps({"measurement": "medians", **medians}))


if __name__ == "__main__":
    main()
