"""Locks, and who holds them."""

import dataclasses
import json
import logging
import os
import socket
import subprocess

import pytest
from support import bare

from lth_jax.store import lock
from lth_jax.store.lock import Held, Holder, job_of, locked

HOLD = """
import pathlib, sys, time
from lth_jax.store.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_is_named_and_what_it_held_when_killed_is_taken_over(
    tmp_path, caplog
):
    path = tmp_path / ".lock"
    env, command = {**os.environ, "SLURM_JOB_ID": "9"}, bare.command(HOLD, path)
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Held) as held, locked(path):
            pass
        other.kill()
    found = held.value.holder
    assert (found.host, found.pid) == (socket.gethostname(), other.pid)
    assert found.job == "Slurm job 9"
    with locked(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert path.read_text() == ""
    assert not caplog.records


def test_who_comes_after_another_host_is_warned_unless_that_gave_it_back(
    tmp_path, caplog
):
    path = tmp_path / ".lock"
    left = Holder("node7", 4, "Slurm job 3_2", "yesterday")
    path.write_text(json.dumps(dataclasses.asdict(left)))
    with caplog.at_level(logging.WARNING), locked(path):
        pass
    assert "Slurm job 3_2, process 4 on node7, since yesterday" in caplog.text
    caplog.clear()
    with locked(path):
        pass
    assert not caplog.records


def test_where_a_file_system_knows_no_locks_it_is_told(tmp_path, monkeypatch, caplog):
    def flock(file, how):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with caplog.at_level(logging.WARNING), locked(tmp_path / ".lock"):
        pass
    assert "knows no locks (Function not implemented)" in caplog.text


@pytest.mark.parametrize("left", ["", "{", "[]", '{"host": 3}', "\0"])
def test_a_holder_without_a_name_is_another_process(left, tmp_path):
    path = tmp_path / ".lock"
    with locked(path):
        path.write_text(left)
        with pytest.raises(Held, match="another process"), locked(path):
            pass


@pytest.mark.parametrize(
    ("variables", "job"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "5"}, "Slurm job 5"),
        (
            {
                "SLURM_JOB_ID": "7",
                "SLURM_ARRAY_JOB_ID": "5",
                "SLURM_ARRAY_TASK_ID": "2",
            },
            "Slurm job 5_2",
        ),
        ({"JOB_NAME": "x"}, None),
        ({"KUBERNETES_SERVICE_HOST": "x", "HOSTNAME": "a-b"}, "Kubernetes pod a-b"),
        (
            {
                "KUBERNETES_SERVICE_HOST": "x",
                "JOB_NAME": "sweep",
                "JOB_COMPLETION_INDEX": "3",
            },
            "Kubernetes job sweep, index 3",
        ),
    ],
)
def test_the_environment_tells_the_job(variables, job):
    assert job_of(variables) == job
