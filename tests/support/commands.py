"""Commands: modules run as `python -m` does, without waiting for what they import."""

import importlib
import json
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile
import traceback

from support.paths import ROOT

# What the commands share; none of it makes threads before it computes.
IMPORTED = ("lth_jax.run", "lth_jax.report", "lth_jax.deploy", "absl.app")


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
        with tempfile.TemporaryDirectory() as folder:
            files = [os.path.join(folder, name) for name in ("out", "err")]
            env = {**self._env, **variables}
            request = [module, list(map(str, flags)), str(cwd), env, files]
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            code = int(self._server.stdout.readline())
            return code, *(pathlib.Path(path).read_text() for path in files)

    def close(self) -> None:
        """Ends the process."""
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait()


def _serve() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        if (pid := os.fork()) == 0:
            _become(*request)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(module, flags, cwd, env, files) -> None:
    """Runs the module in place of this process."""
    for number, path in enumerate(files, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
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
