"""Workers: Parsl's executor and provider for each backend, which train the studies."""

import ast
import inspect
import os
import pathlib
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from lth_jax.devices import num_cores
from lth_jax.errors import UserError

# Parsl's provider, and the arguments whose defaults do not suit a study.
BACKENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "local": ("LocalProvider", {}),
    "slurm": ("SlurmProvider", {"walltime": "01:00:00", "exclusive": False}),
    "kubernetes": ("KubernetesProvider", {"init_mem": "4Gi", "max_mem": "8Gi"}),
}


def executor(backend: str, num_workers: int, options: Sequence[str]) -> Any:
    """Returns an executor whose workers are local processes, or jobs of a cluster.

    Args:
      backend: one of `BACKENDS`.
      num_workers: how many studies train at once.
      options: more arguments of the provider or the executor, as "NAME=VALUE".

    Raises:
      UserError: if Parsl or the cluster's command is missing, or an option is wrong.
    """
    try:
        from parsl import HighThroughputExecutor, providers
        from parsl.jobs.error_handlers import windowed_error_handler
    except ImportError as error:
        raise UserError(f'{error}; pip install -e ".[cluster]" installs it') from None
    if backend == "slurm" and not shutil.which("sbatch"):
        raise UserError("--backend: 'slurm'; no command sbatch is found here")
    name, defaults = BACKENDS[backend]
    provider = getattr(providers, name)
    is_local = backend == "local"
    num_jobs = 1 if is_local else num_workers
    of_provider: dict[str, Any] = {
        "init_blocks": num_jobs,
        "max_blocks": num_jobs,
        **defaults,
    }
    # Ctrl-C signals every process of the terminal. The engine must not get it, because it
    # has to end the workers. It must still end with this process, even if that is killed.
    own = ["setsid", "setpriv", "--pdeathsig", "TERM"]
    own = own if all(map(shutil.which, own[:2])) else []
    of_executor: dict[str, Any] = {
        "max_workers_per_node": num_workers if is_local else 1,
        "cores_per_worker": 1e-3,  # so that cores do not limit the number of workers
        "interchange_launch_cmd": [*own, "interchange.py"],
        "heartbeat_period": 5,  # seconds until a dead worker is noticed
        "heartbeat_threshold": 30,  # seconds until a dead node is noticed
        "block_error_handler": windowed_error_handler,  # gives up after 3 failed jobs
    }
    if is_local:
        of_executor["address"] = "127.0.0.1"  # no other machine may connect
        # A study uses every core that it may; only Linux can restrict it to some.
        if sys.platform == "linux" and num_workers <= num_cores():
            of_executor["cpu_affinity"] = "block"
    # Makes Parsl's commands available even if this Python environment is not activated.
    bin_folder = pathlib.Path(sys.executable).parent
    os.environ["PATH"] = f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}"
    try:
        for option in options:
            name, equals, text = option.partition("=")
            if not equals:
                raise ValueError(f"{option!r} must be NAME=VALUE")
            is_its = name in inspect.signature(provider).parameters
            (of_provider if is_its else of_executor)[name] = _parsed(text)
        return HighThroughputExecutor(provider=provider(**of_provider), **of_executor)
    except Exception as error:  # Parsl raises many types; an unknown option, TypeError
        told = " ".join(str(error).split())
        raise UserError(f"--backend={backend} {' '.join(options)}: {told}") from None


def _parsed(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
