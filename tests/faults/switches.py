"""Switches: settings of the environment, odd terminals, folders that cannot be written.

Each is tried by the whole command in a process of its own: alone, and where the study of
a bench goes on that was begun without it.
"""

import contextlib
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from support.commands import Command
from support.paths import ROOT

from faults import disks
from faults.outcomes import Case, Outcome, Said, Trial, judge, worst
from faults.study import Bench, content, differing, fresh

_MOST_SECONDS = 1800
# Of a study of which nothing is compiled: a step takes seconds.
_SMALL = (
    "--config.num_levels=2",
    "--config.num_steps=2",
    "--config.eval_every_steps=1",
    "--config.checkpoint_every_steps=1",
    "--config.rewind.step=1",
    "--config.dynamic.update_every_steps=1",
)


class Switch(NamedTuple):
    """Variables that are set, and how the shell starts the command."""

    variables: dict[str, str] = {}  # noqa: RUF012  # never changed
    shell: str = "{command}"
    hides: bool = False  # the exit code or what is said
    is_slow: bool = False  # so that a small study of its own is all that is tried


SWITCHES = {
    "JAX_THREEFRY_PARTITIONABLE=0": Switch({"JAX_THREEFRY_PARTITIONABLE": "0"}),
    "JAX_DEFAULT_PRNG_IMPL=rbg": Switch({"JAX_DEFAULT_PRNG_IMPL": "rbg"}),
    "JAX_DEFAULT_PRNG_IMPL=unsafe_rbg": Switch({"JAX_DEFAULT_PRNG_IMPL": "unsafe_rbg"}),
    "JAX_ENABLE_X64=1": Switch({"JAX_ENABLE_X64": "1"}),
    "JAX_NUMPY_RANK_PROMOTION=raise": Switch({"JAX_NUMPY_RANK_PROMOTION": "raise"}),
    "JAX_NUMPY_DTYPE_PROMOTION=strict": Switch({"JAX_NUMPY_DTYPE_PROMOTION": "strict"}),
    "JAX_DEFAULT_MATMUL_PRECISION=bfloat16": Switch(
        {"JAX_DEFAULT_MATMUL_PRECISION": "bfloat16"}
    ),
    "JAX_DISABLE_JIT=1": Switch({"JAX_DISABLE_JIT": "1"}, is_slow=True),
    "JAX_DEBUG_NANS=1": Switch({"JAX_DEBUG_NANS": "1"}),
    "JAX_PLATFORMS=nonsense": Switch({"JAX_PLATFORMS": "nonsense"}),
    "JAX_PLATFORMS=cuda": Switch({"JAX_PLATFORMS": "cuda"}),
    "XLA_FLAGS, 3 devices": Switch(
        {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}
    ),
    "PYTHONOPTIMIZE=2": Switch({"PYTHONOPTIMIZE": "2"}),
    "PYTHONIOENCODING=ascii": Switch({"PYTHONIOENCODING": "ascii"}),
    "PYTHONUTF8=0, LC_ALL=C": Switch({"PYTHONUTF8": "0", "LC_ALL": "C"}),
    "LC_ALL=POSIX, ISO-8859-1": Switch({"LC_ALL": "C", "PYTHONIOENCODING": "latin-1"}),
    "one column": Switch({"COLUMNS": "1", "LINES": "1"}),
    "no cache folder": Switch({"XDG_CACHE_HOME": "/dev/null/nowhere"}),
    "stderr closed": Switch({}, "{command} 2>&-", True),
    "stdout closed": Switch({}, "{command} >&-", True),
    "all closed": Switch({}, "{command} <&- >&- 2>&-", True),
    "stdin closed": Switch({}, "{command} <&-"),
    "stdout to /dev/full": Switch({}, "{command} >/dev/full", True),
    "stderr to /dev/full": Switch({}, "{command} 2>/dev/full", True),
    "a pipe whose reader is gone": Switch({}, "{command} 2>&1 | true; exit 0", True),
    "a reader of one line": Switch({}, "{command} 2>&1 | head -n 1; exit 0", True),
    "nohup": Switch({}, "nohup {command}"),
}


NUM_SWITCHES = len(SWITCHES) + 1  # and a folder that is read only


class Switches:
    """Runs the commands of a bench under a switch."""

    def __init__(self, bench: Bench, folder: pathlib.Path):
        self._bench = bench
        self._folder = folder / "switched"

    def turn(self, case: Case) -> Trial:
        """The switch of this number."""
        if case.number == len(SWITCHES):
            return self._on_read_only("a folder that is read only")
        name, switch = [*SWITCHES.items()][case.number]
        own = self._folder / "study"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        alone = self._train(f"{name}, a study of its own", switch, own)
        if switch.is_slow:
            return alone
        cut = fresh(self._bench.cut, self._folder)
        return worst([alone, self._train(f"{name}, then going on", switch, cut)])

    def _train(self, did: str, switch: Switch, root: pathlib.Path) -> Trial:
        """To the end and its report, or a clear error.

        Going on gives the same numbers, or says that they may be others.
        """
        goes_on = root.exists()
        more = _SMALL if switch.is_slow else ()
        said = self._run(self._bench.command(root, *more), switch)
        if switch.hides and not (root / "verdict.json").exists():
            return Trial(Outcome.FELL_SHORT, did, f"no verdict: {said.last_line}")
        found = content(root) if goes_on and said.code == 0 else {}
        other = differing(found, content(self._bench.whole)) if found else []
        if other and said.warned:
            return Trial(Outcome.CLEAR_ERROR, did, "warned that it may differ")
        if (trial := judge(did, said, other)).outcome != Outcome.IDENTICAL:
            return trial
        again = self._run(Command("lth_jax.report", [f"--workdir={root}"]), switch)
        return judge(f"{did}, report", again, [])

    def _run(self, command: Command, switch: Switch) -> Said:
        line = shlex.join([sys.executable, "-m", command.module, *command.flags])
        done = subprocess.run(
            ["bash", "-c", switch.shell.format(command=line)],
            cwd=ROOT,
            env={**self._bench.environment, **switch.variables},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_MOST_SECONDS,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def _on_read_only(self, name: str) -> Trial:
        """Every command on a finished and a cut study that nobody may write to."""
        trials = []
        for source in (self._bench.whole, self._bench.cut):
            with _read_only(source, self._folder) as root:
                trials.append(
                    judge(name, self._run(self._bench.command(root), Switch()), [])
                )
                report = Command("lth_jax.report", [f"--workdir={root}"])
                trials.append(judge(f"{name}, report", self._run(report, Switch()), []))
        return worst(trials)


@contextlib.contextmanager
def _read_only(source: pathlib.Path, folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """A copy of a study that cannot be written to: on a disk of its own, as root."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    root = folder / "study"
    if os.geteuid() == 0:
        with disks.mounted(folder, "size=1g") as remount:
            shutil.copytree(source, root)
            remount("ro")
            yield root
        return
    shutil.copytree(source, root)
    folders = [root, *(x for x in root.rglob("*") if x.is_dir())]
    for one in folders:
        one.chmod(0o555)
    try:
        yield root
    finally:
        for one in folders:
            one.chmod(0o755)
