"""Workers: what trains the studies; Parsl's executor and provider for a backend."""

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

# Parsl's provider, and what of its defaults is too little for a study, or too much.
BACKENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "local": ("LocalProvider", {}),
    "slurm": ("SlurmProvider", {"walltime": "01:00:00", "exclusive": False}),
    "kubernetes": ("KubernetesProvider", {"init_mem": "4Gi", "max_mem": "8Gi"}),
}


def executor(backend: str, num_workers: int, options: Sequence[str]) -> Any:
    """An executor with so many workers: processes if local, otherwise jobs of a cluster.

    Args:
      backend: one of `BACKENDS`.
      num_workers: how many studies train at once.
      options: more arguments of the provider or the executor, as "NAME=VALUE".

    Raises:
      UserError: if Parsl or the cluster's command is not installed, or an option is none.
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
    # The engine must not get what Ctrl-C sends to all, or nobody ends the workers; but it
    # ends with this process, also where that is killed.
    own = ["setsid", "setpriv", "--pdeathsig", "TERM"]
    own = own if all(map(shutil.which, own[:2])) else []
    of_executor: dict[str, Any] = {
        "max_workers_per_node": num_workers if is_local else 1,
        "cores_per_worker": 1e-3,  # no bound on their number
        "interchange_launch_cmd": [*own, "interchange.py"],
        "heartbeat_period": 5,  # seconds after which a dead worker is found
        "heartbeat_threshold": 30,  # and a dead node
        "block_error_handler": windowed_error_handler,  # three jobs that never worked
    }
    if is_local:
        of_executor["address"] = "127.0.0.1"  # nobody else is to connect
        # A study uses all cores that it may; only Linux can give it some of them.
        if sys.platform == "linux" and num_workers <= num_cores():
            of_executor["cpu_affinity"] = "block"
    # Parsl's commands are there, also of an environment that is not activated.
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
    except Exception as error:  # of many types; also of an option that there is not
        told = " ".join(str(error).split())
        raise UserError(f"--backend={backend} {' '.join(options)}: {told}") from None


def _parsed(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
