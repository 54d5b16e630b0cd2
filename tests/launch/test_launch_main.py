"""`python -m lth_jax.launch`, as a user types it."""

import dataclasses
import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys

import pytest
from support.jobs import TINY, has_saved
from support.paths import ROOT
from support.processes import kill, parent, running, wait_for
from support.runs import texts

from lth_jax.config import StudyConfig
from lth_jax.store.files import write_sealed
from lth_jax.store.workdir import Workdir

SEEDS = "--sweep=configs/sweeps/seeds.py"
needs_parsl = pytest.mark.skipif(
    importlib.util.find_spec("parsl") is None, reason="Parsl is not installed"
)


@pytest.fixture(scope="module")
def say(commands):
    """Exit code, stdout and stderr of the command; of what needs no engine."""
    return functools.partial(commands.run, "lth_jax.launch")


@pytest.fixture
def launch(user_environment, tmp_path):
    """Starts the command; what is left of it at the end is killed."""
    started = []

    def launch(*flags):
        out = tmp_path / f"out{len(started)}"
        with out.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "lth_jax.launch", *TINY, *flags],
                cwd=ROOT,
                env=user_environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)
        return process, out

    yield launch
    for process in started:
        process.kill()
        process.wait()
    kill(*running(str(tmp_path)))


def training(root) -> list[int]:
    """A study that has saved something, its shell, and the worker that waits for both."""
    words = "/bin/bash", "while ", f"--workdir={root}"
    shells = running(*words) if has_saved(root) else []
    found = running("lth_jax.main", f"--workdir={root}") if shells else []
    return [*map(parent, shells), *found]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--config=mnist1d", "oops"], "unknown argument 'oops'"),
        (["--config=mnist1d", "--config.seed=-1"], "seed: -1 is not allowed; must be"),
        (["--config=mnist1d", "--sweep=nowhere.py"], "--sweep: 'nowhere.py'; no such"),
        (["--config=mnist1d", "--backend=slrum"], "of <local|slurm|kubernetes>"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_and_leaves_nothing(flags, told, say, tmp_path):
    code, out, err = say(*flags, f"--workdir={tmp_path / 'root'}")
    assert (code, out) == (2, "")
    assert told in err and err.count("\n") == 1 and err.startswith("error: ")
    assert not any(tmp_path.iterdir())


def test_a_point_of_another_study_is_told_before_any_runs(say, tmp_path):
    other = Workdir(tmp_path / "root" / "seed=2")
    other.root.mkdir(parents=True)
    config = json.dumps(dataclasses.asdict(StudyConfig(num_replicates=3)))
    write_sealed(other.config, config.encode())
    code, _, err = say("--config=mnist1d:smoke", SEEDS, f"--workdir={tmp_path / 'root'}")
    assert code == 2
    assert "seed=2 was made with another config" in err
    assert "num_replicates: 3 there, 2 now" in err


def test_without_the_engine_it_says_how_to_install_it(say, tmp_path):
    (tmp_path / "parsl.py").write_text("raise ModuleNotFoundError('no parsl')")
    flags = "--config=mnist1d:smoke", f"--workdir={tmp_path / 'root'}"
    code, _, err = say(*flags, cwd=tmp_path)
    assert code == 2
    assert 'no parsl; pip install -e ".[cluster]" installs it' in err


def test_a_finished_study_is_left_alone_and_its_result_is_told(say, smoke_study):
    before = {p: p.stat().st_mtime_ns for p in smoke_study.files.root.rglob("*")}
    _, config, *flags = smoke_study.command.split()[2:]
    code, out, err = say(config, *flags)
    assert (code, err) == (
        0,
        f"1 of 1 studies are finished, in {smoke_study.files.root}\n",
    )
    assert out == smoke_study.printed
    assert {p: p.stat().st_mtime_ns for p in smoke_study.files.root.rglob("*")} == before


@needs_parsl
@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--backend=slurm"], "no command sbatch is found here"),
        (["--option=walltime"], "'walltime' must be NAME=VALUE"),
        (["--option=wall_time=1"], "unexpected keyword argument 'wall_time'"),
        (["--option=cores_per_worker=two"], "cores_per_worker"),
    ],
)
def test_a_backend_or_an_option_that_is_none_is_told(flags, told, say, tmp_path):
    config = "--config=mnist1d:smoke", f"--workdir={tmp_path / 'root'}"
    code, _, err = say(*config, *flags, PATH="/nowhere")
    assert (code, err.count("\n")) == (2, 1)
    assert told in err


@needs_parsl
@pytest.mark.slow
def test_four_studies_on_two_workers_survive_a_stop_and_the_loss_of_one(
    launch, undisturbed_study, tmp_path
):
    root = tmp_path / "seeds"
    flags = SEEDS, f"--workdir={root}"
    process, out = launch(*flags)
    wait_for(lambda: training(root / "seed=0"))
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does, also to processes of Parsl
    assert process.wait(100) == 85, out.read_text()
    wait_for(lambda: not running(f"{root}/"), 60)

    process, out = launch(*flags, "--num_workers=2")
    kill(*wait_for(lambda: training(root / "seed=0")))
    assert process.wait(500) == 0, out.read_text()
    told = out.read_text()
    assert "seed=0: Task failure due to loss of worker" in told
    assert "4 of 4 studies are finished" in told
    assert f"page     {root}/comparison.html" in told
    page = (root / "comparison.html").read_text()
    assert all(f"seed={seed}" in page for seed in range(4))
    assert texts(Workdir(root / "seed=0")) == texts(undisturbed_study.files)


@needs_parsl
@pytest.mark.slow
def test_a_launcher_that_is_killed_leaves_no_engine(launch, tmp_path):
    root = tmp_path / "study"
    process, _ = launch(f"--workdir={root}", "--config.num_steps=1000000")
    wait_for(lambda: training(root))
    (engine,) = (p for p in running("HTEX interchange") if parent(p) == process.pid)
    process.kill()
    process.wait()
    wait_for(lambda: engine not in running("HTEX interchange"), 20)
