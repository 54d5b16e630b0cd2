"""The scripts for Slurm, under a real one: what is stopped queues again, and ends well.

A job that is queued again waits two minutes; here it is told to start at once.
"""

import pathlib
import subprocess
import sys

import pytest
from support import slurm as real
from support.jobs import TINY, has_saved
from support.paths import ROOT
from support.processes import wait_for
from support.runs import texts

from lth_jax.store.workdir import Workdir

pytestmark = pytest.mark.slow
SCRIPTS = ROOT / "scripts/slurm"


@pytest.fixture(scope="module")
def slurm(user_environment, tmp_path_factory):
    """A Slurm whose jobs run this Python; skips where it is not installed."""
    path = f"{pathlib.Path(sys.executable).parent}:{user_environment['PATH']}"
    env = {**user_environment, "PATH": path}
    with real.running(tmp_path_factory.mktemp("slurm"), env) as found:
        if found is None:
            pytest.skip("Slurm needs root, and Debian's packages slurm-wlm and munge")
        yield found


def submit(slurm, tmp_path, script, *flags, options=()):
    """Submits a script; gives the job's number."""
    log = tmp_path / "%j.log"
    return slurm.submit(f"--output={log}", *options, SCRIPTS / script, *flags)


@pytest.fixture(scope="module", autouse=True)
def timed(slurm, undisturbed_study, tmp_path_factory):
    """A job that has a minute, and needs hours; other tests run meanwhile."""
    folder = tmp_path_factory.mktemp("timed")
    flags = *TINY, f"--workdir={folder / 'study'}", "--config.num_steps=1000000"
    # Slurm tells up to half a minute earlier than it is asked to.
    options = "--time=1", "--signal=TERM@1"
    return submit(slurm, folder, "one_node.sh", *flags, options=options), folder


def goes_on(slurm, number) -> None:
    """Waits until a job is queued again, and starts it."""
    wait_for(lambda: slurm.job(number)["Restarts"] != "0", every=0.2)
    slurm.wait_until(number, "PENDING")
    slurm.start_now(number)


def test_two_processes_told_to_stop_are_queued_again_and_end_as_if_undisturbed(
    slurm, undisturbed_study, tmp_path
):
    flags = *TINY, f"--workdir={(workdir := tmp_path / 'study')}"
    options = "--nodes=1", "--ntasks-per-node=2", "--cpus-per-task=2"
    number = submit(slurm, tmp_path, "several_nodes.sh", *flags, options=options)
    wait_for(lambda: has_saved(workdir))
    slurm.call("scancel", "--signal=TERM", number)
    goes_on(slurm, number)
    end = slurm.wait_until(number, "COMPLETED", "FAILED")
    log = (tmp_path / f"{number}.log").read_text()
    assert end == "COMPLETED" and "saved in" in log, log
    assert texts(Workdir(workdir)) == texts(undisturbed_study.files)


def test_each_task_of_an_array_trains_its_point(slurm, undisturbed_study, tmp_path):
    points = tmp_path / "points.txt"
    lines = [f"--workdir={tmp_path / str(s)} --config.seed={s}\n" for s in (0, 1)]
    points.write_text("".join(lines))
    options = ("--array=1-3",)
    number = submit(slurm, tmp_path, "array.sh", points, *TINY, options=options)
    for task, state in ((1, "COMPLETED"), (2, "COMPLETED"), (3, "FAILED")):
        assert slurm.wait_until(f"{number}_{task}", "COMPLETED", "FAILED") == state
    assert texts(Workdir(tmp_path / "0")) == texts(undisturbed_study.files)
    assert texts(Workdir(tmp_path / "1")) != texts(undisturbed_study.files)


def test_a_job_whose_time_is_over_is_queued_again_and_one_cancelled_is_not(slurm, timed):
    number, folder = timed
    goes_on(slurm, number)
    log = (folder / f"{number}.log").read_text()
    assert "saved in" in log, log
    assert has_saved(folder / "study")
    slurm.wait_until(number, "RUNNING")
    slurm.call("scancel", number)
    slurm.wait_until(number, "CANCELLED")
    assert slurm.job(number)["Restarts"] == "1"


@pytest.mark.parametrize("script", ["one_node.sh", "several_nodes.sh", "array.sh"])
def test_a_script_is_bash_and_asks_for_nothing_that_slurm_does_not_know(slurm, script):
    subprocess.run(["bash", "-n", SCRIPTS / script], check=True)
    options = ["--test-only", "--nodes=1", "--array=1"]
    slurm.call("sbatch", *options[: 3 if script == "array.sh" else 2], SCRIPTS / script)
