"""The command as several processes, each of which is waited for by one of its own."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest
from support.commands import free_port
from support.paths import ROOT
from support.runs import texts

from lth_jax.errors import Exit
from lth_jax.store.workdir import Workdir

pytestmark = pytest.mark.slow
STUDY = (
    f"--config={ROOT / 'configs' / 'mnist1d.py'}:smoke",
    "--config.num_levels=2",
    "--config.arms=ticket,",
    "--config.num_steps=600",
    "--config.checkpoint_every_steps=200",
)
TWO_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}


@pytest.fixture(scope="module")
def start(user_environment):
    """Starts a study in some processes of two devices each."""

    def start(workdir, number, *flags_of_last):
        job = f"--coordinator=localhost:{free_port()}", f"--num_processes={number}"
        return [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "lth_jax.main", *STUDY),
                    *(f"--workdir={workdir}", *job, f"--process_id={rank}"),
                    *(flags_of_last if rank == number - 1 else ()),
                ],
                cwd=ROOT,
                env={**user_environment, **TWO_DEVICES},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(number)
        ]

    return start


def ends(processes):
    """Exit code, stdout and stderr of each."""
    said = [process.communicate(timeout=120) for process in processes]
    return [(p.returncode, *texts) for p, texts in zip(processes, said, strict=True)]


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory):
    """The records of the study, which one process trained undisturbed."""
    workdir = tmp_path_factory.mktemp("together") / "whole"
    assert [code for code, _, _ in ends(start(workdir, 1))] == [0]
    return texts(Workdir(workdir))


def wait_for(pattern, workdir, processes):
    """Waits until a file is there."""
    while not list(pathlib.Path(workdir).glob(pattern)):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)


def child_of(process) -> int:
    """The process that trains, of the one that waits for it."""
    path = f"/proc/{process.pid}/task/{process.pid}/children"
    return int(pathlib.Path(path).read_text().split()[0])


def test_told_to_stop_one_process_saves_with_the_other_and_all_goes_on(
    start, whole, tmp_path
):
    processes = start(tmp_path / "study", 2)
    wait_for("records/level_00-ticket.csv", tmp_path / "study", processes)
    processes[1].send_signal(signal.SIGTERM)
    processes[1].send_signal(signal.SIGTERM)  # as Slurm does
    began = time.monotonic()
    (first, _, told), (second, out, err) = ends(processes)
    assert time.monotonic() - began < 30
    assert first == second == Exit.SAVED
    assert "go on with the same command" in told and "Traceback" not in told + err
    assert out == ""
    (code, printed, _), (other, silent, _) = ends(start(tmp_path / "study", 2))
    assert code == other == 0
    assert "dense" in printed and silent == ""
    assert "Gloo" not in printed
    assert texts(Workdir(tmp_path / "study")) == whole


def test_a_lost_process_takes_the_other_down_with_a_message_and_one_goes_on(
    start, whole, tmp_path
):
    processes = start(tmp_path / "study", 2)
    wait_for("records/level_00-ticket.csv", tmp_path / "study", processes)
    subprocess.run(["kill", "-KILL", str(child_of(processes[1]))], check=True)
    began = time.monotonic()
    said = ends(processes)
    assert time.monotonic() - began < 60
    expected = (
        (Exit.LOST, "another process of this job is lost"),
        (128 + signal.SIGKILL, "killed (SIGKILL)"),
    )
    for (code, _, err), (expected_code, why) in zip(said, expected, strict=True):
        last = err.strip().splitlines()[-1]
        assert code == expected_code, err
        assert last.startswith("error: ") and why in last
        assert "the same command goes on" in last and "Traceback" not in err
    assert [code for code, _, _ in ends(start(tmp_path / "study", 1))] == [0]
    assert texts(Workdir(tmp_path / "study")) == whole


def test_processes_of_another_config_are_refused_all(start, tmp_path):
    for rank, (code, _, err) in enumerate(
        ends(start(tmp_path / "study", 2, "--config.seed=3"))
    ):
        assert code == Exit.WRONG, err
        told = "this one differs in seed" if rank else "others differ"
        assert err.strip().splitlines()[-1].startswith("error: --config: all processes")
        assert told in err
    assert not (tmp_path / "study").exists()
