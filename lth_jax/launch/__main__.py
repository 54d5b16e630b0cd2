"""Runs a study or a sweep as jobs, here or on a cluster, and waits for them.

  python -m lth_jax.launch --config=mnist1d --sweep=configs/sweeps/seeds.py
  python -m lth_jax.launch --config=conv6 --backend=slurm --option=partition=gpu

It retries jobs that die. Repeat the command to continue; finished studies are skipped.
"""

import logging
import operator
import pathlib
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from absl import app, flags
from ml_collections import config_flags

from lth_jax import main as of_a_study
from lth_jax import points
from lth_jax.config import command_line, sweep
from lth_jax.errors import Exit, UserError, fail
from lth_jax.launch import engine, workers
from lth_jax.lottery.results import is_finished
from lth_jax.store import claim
from lth_jax.store.workdir import Workdir
from lth_jax.terminal import make_streams_last

flags.adopt_module_key_flags(of_a_study)
flags.adopt_module_key_flags(points)
_BACKEND = flags.DEFINE_enum(
    "backend", "local", list(workers.BACKENDS), "Where the studies train."
)
_NUM_WORKERS = flags.DEFINE_integer(
    "num_workers", 1, "How many studies train at once.", lower_bound=1
)
_OPTIONS = flags.DEFINE_multi_string(
    "option",
    [],
    "An argument of Parsl's provider or HighThroughputExecutor: walltime=04:00:00.",
)
_SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


def main(argv: Sequence[str]) -> int:
    """Launches what the flags describe; returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format="warning: %(message)s", force=True)
    if len(argv) > 1:
        return fail(f"unknown argument {argv[1]!r}; allowed are flags alone")
    try:
        return _launch()
    except (UserError, OSError) as error:
        return fail(str(error))
    except KeyboardInterrupt:
        _say("stopped; studies in training save their state. Repeat the command to go on")
        return Exit.SAVED


def _launch() -> int:
    file = points.SWEEP.value
    root, found = points.described(pathlib.Path(file) if file else None)
    folder = root.with_name(f"{root.name}.launch").absolute()
    jobs = []
    for point, workdir in found:
        claim.check(workdir, point.study)
        if not is_finished(point.study, workdir):
            jobs.append(_job(point, workdir, folder / f"{point.name}.log"))
    failed = set()
    if jobs:
        num_workers = min(_NUM_WORKERS.value, len(jobs))
        executor = workers.executor(_BACKEND.value, num_workers, _OPTIONS.value)
        _say(f"to train: {len(jobs)} of {len(found)} studies; logs: {folder}/*.log")
        for signum in _SIGNALS:
            signal.signal(signum, _stop)
        failed = engine.run(jobs, executor, folder / "engine")
    done = [workdir for point, workdir in found if point.name not in failed]
    _say(f"{len(done)} of {len(found)} studies are finished, in {root}")
    if done:
        print(points.result(root, done))
    return 1 if failed else 0


def _job(point: sweep.Point, workdir: Workdir, log: pathlib.Path) -> engine.Job:
    config = flags.FLAGS["config"]
    command = ["lth_jax.main", f"--config={config_flags.get_config_filename(config)}"]
    for field in {**config_flags.get_override_values(config), **point.changes}:
        value = operator.attrgetter(field)(point.study)
        command.append(command_line.set_flag(field, value))
    root = workdir.root.absolute()
    return engine.Job(point.name, [*command, f"--workdir={root}"], root, log)


def _stop(signum: int, frame: FrameType | None) -> None:
    for each in _SIGNALS:  # a second signal must not stop Parsl from ending its workers
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    make_streams_last()
    app.run(main, flags_parser=of_a_study.parse_flags)
