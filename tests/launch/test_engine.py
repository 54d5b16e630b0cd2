"""What a worker runs, and what an attempt costs that failed."""

import os
import subprocess

import pytest

from lth_jax.launch import engine

parsl = pytest.importorskip("parsl")


@pytest.fixture
def job(tmp_path):
    """Of a module that prints its flag, and ends with the codes given, one a call."""

    def job(*codes):
        (tmp_path / "codes").write_text(" ".join(map(str, codes)))
        (tmp_path / "a_study.py").write_text(
            "import pathlib, sys\n"
            "left = pathlib.Path('codes')\n"
            "code, *more = left.read_text().split()\n"
            "left.write_text(' '.join(more))\n"
            "print(*sys.argv[1:], file=sys.stderr)\n"
            "sys.exit(int(code))\n"
        )
        command = ["a_study", "--config.arms=('ticket', 'a b')"]
        return engine.Job("study", command, tmp_path / "study", tmp_path / "log")

    return job


@pytest.mark.parametrize(
    ("codes", "end", "left"),
    [((0,), 0, ""), ((75, 75, 0), 0, ""), ((75, 85, 0), 85, "0"), ((2,), 2, "")],
)
def test_a_worker_runs_a_study_once_nobody_else_does(codes, end, left, job, tmp_path):
    command = engine.in_bash(job(*codes), wait_seconds=0.01)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == end
    assert (tmp_path / "codes").read_text() == left
    calls = len(codes) - len(left.split())
    assert (done.stdout, done.stderr) == ("--config.arms=('ticket', 'a b')\n" * calls, "")


def test_attempts_cost_what_they_brought(job, tmp_path):
    from parsl.app.errors import BashExitFailure
    from parsl.executors.high_throughput.errors import WorkerLost

    newest, record = {}, {"args": (job(0),)}

    def cost(error):
        return engine._cost(newest, error, record)

    lost = WorkerLost(0, "host")
    assert cost(lost) == 1  # nothing is saved yet
    (tmp_path / "study/checkpoints/level_00").mkdir(parents=True)
    assert cost(lost) == 0
    assert cost(lost) == cost(BashExitFailure("study", 137)) == 1
    assert cost(BashExitFailure("study", 85)) == 0
    assert cost(BashExitFailure("study", 2)) == float("inf")


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (None, ""),
        (b"", ""),
        (b"to train: 3 levels\n\n", "to train: 3 levels"),
        (
            b"level 0:   0%|\rlevel 0:  10%|\xe2\x96\x88 | 5 steps/s",
            "level 0:  10%|█ | 5 steps/s",
        ),
        (b"x" * 9000 + b"\xff\rdone\r", "done"),
    ],
)
def test_the_last_line_of_a_log_is_found(log, line, tmp_path):
    if log is not None:
        (tmp_path / "log").write_bytes(log)
    assert engine.last_line(tmp_path / "log") == line


def test_progress_is_told_once(tmp_path, capsys):
    jobs = [engine.Job(x, [], tmp_path, tmp_path / x) for x in ("a", "b", "c")]
    for job in jobs[:2]:
        job.log.write_text(f"level of {job.name}")
    shown = {}
    engine._show_progress(jobs, shown)
    (tmp_path / "b").write_text("level 2")
    engine._show_progress(jobs, shown)
    told = capsys.readouterr().err.splitlines()
    assert told == ["a: level of a", "b: level of b", "b: level 2"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (85, "stopped and saved"),
        (137, "ended by a signal (Killed)"),
        (1, "exit code 1"),
        (255, "exit code 255"),
        (None, "a worker is lost"),
    ],
)
def test_the_end_of_an_attempt_is_told_in_words(code, told):
    assert engine._told(RuntimeError("a worker is lost"), code) == told
