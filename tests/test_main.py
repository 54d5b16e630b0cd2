"""The command line, as a user types it, in processes of its own."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from lth_jax.analysis.summary import summarize
from lth_jax.study import records

ROOT = pathlib.Path(__file__).parents[1]
SMOKE = ("--config=configs/mnist1d.py:smoke",)
# Seven calls of ten segments: long enough to be killed anywhere.
KILLABLE = (
    *SMOKE,
    "--config.num_steps=1000",
    "--config.checkpoint_every_steps=100",
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """One device, as a user has it, and a cache of compiled programs of its own."""
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    return {**env, "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="module")
def start(environment):
    """Starts the command; gives its process."""

    def start(*flags, **variables):
        return subprocess.Popen(
            [sys.executable, "-m", "lth_jax.main", *flags],
            cwd=ROOT,
            env={**environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture(scope="module")
def run(start):
    """Runs the command to its end; gives exit code, stdout, stderr."""

    def run(*flags, **variables):
        process = start(*flags, **variables)
        out, err = process.communicate(timeout=500)
        return process.returncode, out, err

    return run


def texts(workdir):
    return {p.name: p.read_text() for p in sorted((workdir / "records").iterdir())}


@pytest.fixture(scope="module")
def uninterrupted(run, tmp_path_factory):
    """The records of a killable study that nothing disturbed."""
    workdir = tmp_path_factory.mktemp("main") / "whole"
    code, _, err = run(*KILLABLE, f"--workdir={workdir}")
    assert code == 0, err
    return texts(workdir)


def test_a_study_ends_with_table_figure_and_where_things_are(run, tmp_path):
    workdir = tmp_path / "smoke"
    code, out, err = run(*SMOKE, f"--workdir={workdir}", "--config.num_replicates=3")
    assert code == 0, err
    lines = out.splitlines()
    assert [title.strip("- ") for title in lines[0].split("  ") if title.strip()] == [
        "ticket",
        "reinit",
        "shuffle",
    ]
    assert lines[1].split()[:3] == ["level", "density", "weights"]
    assert [line.split()[:3] for line in lines[2:5]] == [
        ["0", "100.00%", "15,000"],
        ["1", "80.67%", "12,100"],
        ["2", "65.13%", "9,770"],
    ]
    assert all(line.count("±") == 9 for line in lines[3:5])
    assert "Means over 3 replicates" in out
    assert (workdir / "table.txt").read_text().splitlines() == lines[:8]
    assert (workdir / "figure.png").read_bytes().startswith(b"\x89PNG")
    for place in ("figure.png", "table.txt", "records", "tickets"):
        assert str(workdir / place) in out
    assert "level 2 shuffle: 100%" in err
    assert "steps/s" in err

    # Again: nothing is done anew, and it says so.
    before = texts(workdir)
    code, again, err = run(*SMOKE, f"--workdir={workdir}", "--config.num_replicates=3")
    assert (code, again) == (0, out)
    assert "this study is finished" in err
    assert texts(workdir) == before

    # With another config: refused, and left alone.
    code, _, err = run(*SMOKE, f"--workdir={workdir}", "--config.prune.fraction=0.3")
    assert code == 2
    assert "num_replicates: 3 there, 2 now; prune.fraction: 0.2 there, 0.3 now" in err
    assert texts(workdir) == before


def test_a_cifar_config_runs_small_on_real_images(run, raw_cifar10, tmp_path):
    workdir = tmp_path / "conv2"
    code, out, err = run(
        "--config=configs/conv2.py:smoke",
        f"--config.data.raw_dir={raw_cifar10}",
        f"--workdir={workdir}",
    )
    assert code == 0, err
    runs = records.read(workdir / "records")
    assert [(r.level, r.arm, r.replicate) for r in runs] == [
        (0, "ticket", 0),
        (0, "ticket", 1),
        (1, "reinit", 0),
        (1, "reinit", 1),
        (1, "ticket", 0),
        (1, "ticket", 1),
    ]
    assert all(0.25 < r.density < 0.55 for r in runs if r.level == 1)
    assert all(r.curves["train", "accuracy"].values[-1] > 0.1 for r in runs)
    # A copy that is not the official one is told wherever results are.
    note = json.loads((workdir / "environment.json").read_text())["data_note"]
    assert note is None or (note in err and out.count(note) == 1)
    assert ("not the official ones" in out) == (note is not None)


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_random_instants_equals_uninterrupted(
    seed, start, uninterrupted, tmp_path
):
    rng, kills, workdir = random.Random(seed), 0, tmp_path / "killed"
    for _ in range(30):
        process = start(*KILLABLE, f"--workdir={workdir}")
        while not (workdir / "config.json").exists() and process.poll() is None:
            time.sleep(0.01)
        # The first kills come while it starts and compiles, later ones while it trains.
        delay = rng.uniform(0.0, 2.0) + kills
        try:
            process.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        _, err = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, err
    assert process.returncode == 0
    assert kills >= 3
    assert texts(workdir) == uninterrupted
    assert not list(workdir.glob("checkpoints/in_flight*"))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_says_how_to_go_on_and_exits_with_its_code(
    signum, start, run, uninterrupted, tmp_path
):
    workdir = tmp_path / "interrupted"
    process = start(*KILLABLE, f"--workdir={workdir}")
    while not list(workdir.glob("checkpoints/in_flight_01-reinit-1/step_*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert f"{signum.name}: saving at the end of this segment" in err
    assert "go on with the same command" in err
    assert "Traceback" not in err
    done = texts(workdir)
    assert 0 < len(done) < len(uninterrupted)
    code, _, err = run(*KILLABLE, f"--workdir={workdir}")
    assert code == 0, err
    assert texts(workdir) == uninterrupted


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--config: missing; such as"),
        (("--config=configs/nope.py",), "--config: 'configs/nope.py'; no such file"),
        (("--config=configs/mnist1d.py:nope",), "'nope'; must be one of smoke"),
        (
            (*SMOKE, "--config.prune.fractoin=0.3"),
            "prune.fractoin: no such field; allowed",
        ),
        (("--config", "configs/nope.py"), "--config: 'configs/nope.py'; no such file"),
        ((*SMOKE, "--config.data=mnist"), "data: a group of fields (augment, name, num_"),
        ((*SMOKE, "--config.batch_size=abc"), "--config.batch_size=abc: invalid literal"),
        ((*SMOKE, "--config.prune.fraction=1.5"), "prune.fraction: 1.5 is not allowed"),
        ((*SMOKE, "--config.batch_size=3001"), "batch_size: 3001 is not allowed"),
        ((*SMOKE, "--config.data.name=nope"), "data.name: 'nope'; must be one of"),
        ((*SMOKE, "--config.data.num_validation=4000"), "data.num_validation: 4000;"),
        ((*SMOKE, "--nope=1"), "Unknown command line flag 'nope'"),
        ((*SMOKE, "level_3"), "unknown argument 'level_3'"),
        ((*SMOKE, "--workdir=README.md/below"), "workdir: README.md/below cannot be"),
    ],
    ids=lambda v: v[-1] if isinstance(v, tuple) and v else "",
)
def test_bad_input_is_told_in_one_line_and_leaves_nothing(flags, message, run, tmp_path):
    if not any(flag.startswith("--workdir") for flag in flags):
        flags = (*flags, f"--workdir={tmp_path / 'study'}")
    code, out, err = run(*flags)
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "study").exists()


def test_tensorboard_without_its_writer_is_told_and_leaves_nothing(run, tmp_path):
    (tmp_path / "tensorboardX.py").write_text("raise ImportError('not there')")
    flags = ("--config.log.tensorboard=True", f"--workdir={tmp_path / 'study'}")
    code, out, err = run(*SMOKE, *flags, PYTHONPATH=str(tmp_path))
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert line.startswith("error: log.tensorboard: True needs tensorboardX")
    assert not (tmp_path / "study").exists()


def test_a_config_file_with_an_unknown_field_is_told_in_one_line(run, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from lth_jax import config\n"
        "def get_config():\n"
        "    mine = config.default()\n"
        "    mine.num_stepz = 3\n"
        "    return mine\n"
    )
    code, _, err = run(f"--config={path}")
    assert code == 2
    (line,) = err.strip().splitlines()
    assert "num_stepz" in line


def test_a_loss_that_diverges_is_told_in_one_line(run, tmp_path):
    flags = ("--config.optimizer.name=sgd", "--config.optimizer.learning_rate=1e30")
    code, _, err = run(*SMOKE, *flags, f"--workdir={tmp_path / 'study'}")
    assert code == 2
    expected = "error: the loss of replicate 0, arm ticket, level 0 is no longer finite"
    assert expected in err
    assert "Traceback" not in err


def test_tickets_beat_their_controls(run, tmp_path):
    """The hypothesis itself, on three halvings of LeNet-100-100 on MNIST-1D."""
    workdir = tmp_path / "study"
    code, _, err = run(
        "--config=configs/mnist1d.py",
        "--config.num_replicates=3",
        "--config.num_levels=4",
        "--config.num_steps=1000",
        "--config.checkpoint_every_steps=1000",
        "--config.prune.fraction=0.5",
        "--config.arms=ticket,reinit,shuffle",
        f"--workdir={workdir}",
    )
    assert code == 0, err
    found = {(s.level, s.arm): s for s in summarize(records.read(workdir / "records"))}
    for level in (2, 3):  # 26% and 13% of the weights
        ticket = found[level, "ticket"]
        for arm in ("reinit", "shuffle"):
            control = found[level, arm]
            assert (
                ticket.early_stop_accuracy.mean > control.early_stop_accuracy.mean + 0.03
            )
            assert ticket.early_stop_step.mean < control.early_stop_step.mean
    dense = found[0, "ticket"].early_stop_accuracy.mean
    assert found[2, "ticket"].early_stop_accuracy.mean > dense


def test_the_second_run_starts_from_the_compilation_cache(run, environment, tmp_path):
    run(*SMOKE, f"--workdir={tmp_path / 'first'}")
    cache = pathlib.Path(environment["XDG_CACHE_HOME"]) / "lth_jax"
    compiled = {p.name for p in cache.iterdir() if not p.name.endswith("-atime")}
    assert compiled
    run(*SMOKE, f"--workdir={tmp_path / 'second'}")
    assert compiled == {p.name for p in cache.iterdir() if not p.name.endswith("-atime")}
