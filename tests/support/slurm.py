"""Slurm: a real one of one node, on this machine and for these tests alone."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

from support.commands import free_port
from support.paths import ROOT
from support.processes import wait_for

# No accounting, so no `sacct`. KillWait is what a job past its time limit still has.
CONFIG = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SlurmdParameters=config_overrides
ReturnToService=2
MailProg=/bin/true
KillWait=30
OverTimeLimit=0
SchedulerParameters=batch_sched_delay=1,sched_interval=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """Commands of a running one."""

    def __init__(self, env: dict[str, str], folder: pathlib.Path):
        self.env = env
        self.folder = folder

    def call(self, *command: str, cwd: pathlib.Path = ROOT) -> str:
        """What a command prints; it must end well."""
        done = subprocess.run(
            command, cwd=cwd, env=self.env, capture_output=True, text=True
        )
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout

    def submit(self, *arguments) -> str:
        """Submits a script; gives the job's number."""
        return self.call("sbatch", "--parsable", *map(str, arguments)).strip()

    def job(self, number: str) -> dict[str, str]:
        """What Slurm knows of a job, or of a task such as "7_2"."""
        shown = self.call("scontrol", "show", "job", number)
        return dict(re.findall(r"(\S+?)=(\S*)", shown))

    def wait_until(self, number: str, *states: str) -> str:
        """Waits for a job to be in one of these states; gives which."""

        def found() -> str:
            state = self.job(number)["JobState"]
            return state if state in states else ""

        return wait_for(found, every=0.2)

    def start_now(self, number: str) -> None:
        """Starts a job that was requeued, which Slurm else holds for two minutes.

        Not in the same second: credentials of the run before are revoked by seconds.
        """
        self.call("scontrol", "update", f"jobid={number}", "StartTime=now+2")


@contextlib.contextmanager
def running(folder: pathlib.Path, env: dict[str, str]):
    """A `Slurm`, with its files in a folder; None where it cannot be, or is no root."""
    commands = [shutil.which(name, path="/usr/sbin:/usr/bin") for name in _DAEMONS]
    if not all(commands) or os.geteuid() != 0:
        yield None
        return
    settings = {
        "folder": folder,
        "host": socket.gethostname(),
        "controller": free_port(),
        "daemon": free_port(),
    }
    for name in ("state", "spool"):
        (folder / name).mkdir()
    folder.chmod(0o755)  # else munged does not trust its socket's folder
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(**settings))
    own = {**env, "SLURM_CONF": str(config)}
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    paths = {
        "key-file": key,
        "socket": folder / "munge.socket",
        "pid-file": folder / "munged.pid",
        "log-file": folder / "munged.log",
        "seed-file": folder / "munged.seed",
    }
    munged, *slurms = commands
    started = []
    try:
        flags = [f"--{name}={path}" for name, path in paths.items()]
        started.append(subprocess.Popen([munged, "--foreground", "--force", *flags]))
        wait_for(paths["socket"].exists, 20)
        for command in slurms:
            out = (folder / pathlib.Path(command).name).with_suffix(".out").open("w")
            with out:
                daemon = subprocess.Popen(
                    [command, "-D"], env=own, stdout=out, stderr=out
                )
            started.append(daemon)
        slurm = Slurm(own, folder)
        wait_for(lambda: "idle" in _states(slurm), 60, every=0.2)
        yield slurm
        slurm.call("scancel", "--user=root", "--signal=KILL", "--full")
        slurm.call("scancel", "--user=root")
    finally:
        for daemon in reversed(started):
            daemon.send_signal(signal.SIGTERM)
        for daemon in started:
            try:
                daemon.wait(30)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


_DAEMONS = "munged", "slurmctld", "slurmd"


def _states(slurm: Slurm) -> str:
    done = subprocess.run(
        ["sinfo", "--noheader", "--format=%t"],
        env=slurm.env,
        capture_output=True,
        text=True,
    )
    return done.stdout
