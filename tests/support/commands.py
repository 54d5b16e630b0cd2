"""Commands: modules run as `python -m` does, without waiting for what they import."""

import importlib
import json
import os
import pathlib
import resource
import runpy
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from typing import NamedTuple

from support import xla
from support.paths import ROOT

# What the commands share; none of it makes threads before it computes.
IMPORTED = (
    "lth_jax.run",
    "lth_jax.report.page",
    "lth_jax.report.panels",
    "lth_jax.deploy",
    "absl.app",
)


class Command(NamedTuple):
    """A module, its flags, and what happens to it."""

    module: str
    flags: Sequence[str]
    cwd: str = str(ROOT)
    variables: dict[str, str] = {}  # noqa: RUF012  # never changed
    signals: Sequence[tuple[float, int]] = ()  # seconds after the start, and which
    after: float = 0.0  # seconds before it starts
    file_bytes: int | None = None  # the size that no file of it may exceed


class Commands:
    """A process that has imported what they share, and forks one for each."""

    def __init__(self, env: dict[str, str]):
        self._env = env
        self._server = subprocess.Popen(
            [sys.executable, "-m", "support.commands"],
            cwd=ROOT / "tests",
            env={**env, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, module, *flags, cwd=ROOT, **variables) -> tuple[int, str, str]:
        """Runs a module to its end; gives exit code, stdout, stderr."""
        command = Command(module, list(map(str, flags)), str(cwd), variables)
        return self.run_together([command])[0]

    def run_together(self, commands: Sequence[Command]) -> list[tuple[int, str, str]]:
        """Runs commands at the same time, all to their ends; gives the same of each."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            requests = [
                (*command, {**self._env, **command.variables}, str(folder / f"{i}-"))
                for i, command in enumerate(commands)
            ]
            self._server.stdin.write(json.dumps(requests) + "\n")
            self._server.stdin.flush()
            codes = json.loads(self._server.stdout.readline())
            return [
                (code, *((folder / f"{i}-{s}").read_text() for s in ("out", "err")))
                for i, code in enumerate(codes)
            ]

    def close(self) -> None:
        """Ends the process."""
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait()


def run_module(num_devices: int, module: str, *arguments) -> tuple[int, str]:
    """Runs a module of the tests on so many host devices; gives exit code, stderr."""
    started = _start_module(num_devices, module, *arguments)
    _, err = started.communicate()
    return started.returncode, err


def run_several(
    num_processes: int, num_devices: int, module: str, *arguments
) -> list[tuple[int, str]]:
    """Runs it in several processes that know each other, of so many devices each."""
    job = f"localhost:{free_port()}", num_processes
    started = [
        _start_module(num_devices, "support.several", *job, rank, module, *arguments)
        for rank in range(num_processes)
    ]
    errors = [process.communicate()[1] for process in started]
    return [(p.returncode, err) for p, err in zip(started, errors, strict=True)]


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def _start_module(num_devices: int, module: str, *arguments) -> subprocess.Popen:
    import jax  # whose cache of compiled programs they share

    variables = {
        "XLA_FLAGS": xla.flags(num_devices),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)]),
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir or "",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _serve() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    # Here, since importing this module must not import the package.
    from lth_jax import data
    from support import generated

    generated.keep()
    data.load("mnist1d")
    for line in sys.stdin:
        pids, due = [], []
        for request in json.loads(line):
            if (pid := os.fork()) == 0:
                _become(*request)
            pids.append(pid)
            due += [(time.monotonic() + s, pid, n) for s, n in request[4]]
        codes = _wait(set(pids), sorted(due))
        print(json.dumps([codes[pid] for pid in pids]), flush=True)


def _wait(running: set[int], due: list[tuple[float, int, int]]) -> dict[int, int]:
    """Exit codes of processes, each sent what is due unless it has ended."""
    codes = {}
    while running:
        while due and due[0][0] <= time.monotonic():
            _, pid, signum = due.pop(0)
            if pid in running:  # not waited for yet, so its number is still its own
                os.kill(pid, signum)
        pid, status = os.waitpid(-1, os.WNOHANG if due else 0)
        if pid:
            running.remove(pid)
            codes[pid] = os.waitstatus_to_exitcode(status)
        else:
            time.sleep(0.002)
    return codes


def _become(module, flags, cwd, _, __, after, file_bytes, env, files) -> None:
    """Runs the module in place of this process."""
    for number, name in enumerate(("out", "err"), start=1):
        os.dup2(os.open(files + name, os.O_WRONLY | os.O_CREAT), number)
    time.sleep(after)
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.path[0], sys.argv[1:] = cwd, flags
    code = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()
