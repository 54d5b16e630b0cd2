"""`python -m lth_jax.sweep`, as a user types it."""

import dataclasses
import functools
import json
import signal
import subprocess
import sys

import pytest
from support.jobs import TINY, has_saved
from support.paths import ROOT
from support.processes import wait_for
from support.runs import texts

from lth_jax.config import StudyConfig
from lth_jax.errors import Exit
from lth_jax.store.files import write_sealed
from lth_jax.store.workdir import Workdir

SEEDS = "--sweep=configs/sweeps/seeds.py"
OWN = """
from configs import mnist1d

def get_config(variant=""):
    return mnist1d.get_config("smoke")

def sweep(add):
    for name in ("glorot_normal", "he_uniform"):
        add(**{"init.name": name})
    add(**{"optimizer.learning_rate": 1e30})
"""
POINTS = "init.name=glorot_normal", "init.name=he_uniform"


@pytest.fixture(scope="module")
def say(commands):
    """Exit code, stdout and stderr of the command."""
    return functools.partial(commands.run, "lth_jax.sweep")


@pytest.fixture
def own(tmp_path):
    """The flag of a config with a sweep beside it, of which one point diverges."""
    file = tmp_path / "own.py"
    file.write_text(OWN)
    return f"--config={file}"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ((), "--config: missing; such as"),
        (("--config=mnist1d", "oops"), "unknown argument 'oops'"),
        (("--config=mnist1d",), "mnist1d.py: has no function sweep(add)"),
        (("--config=mnist1d", "--sweep=nowhere.py"), "--sweep: 'nowhere.py'; no such"),
        (
            ("--config=mnist1d", SEEDS, "--config.num_levels=0"),
            "add(seed=0): num_levels: 0 is not allowed; must be at least 1",
        ),
        (("--config=mnist1d", SEEDS, "--sweeps=1"), "Unknown command line flag 'sweeps'"),
        (
            ("--config=mnist1d", SEEDS, "--config.arms=ticket,continu"),
            "seeds.py: seed=0: arms: 'continu' is not allowed",
        ),
        (
            ("--config=mnist1d", SEEDS, "--config.batch_size=3001"),
            "seed=0: batch_size: 3001 is not allowed; must be at most 3000",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line_and_leaves_nothing(flags, told, say, tmp_path):
    code, out, err = say(*flags, f"--workdir={tmp_path / 'root'}")
    assert (code, out) == (2, "")
    line = err.strip().splitlines()[-1]
    assert line.startswith("error: ") and told in line
    assert "Traceback" not in err
    assert not any(tmp_path.iterdir())


def test_a_point_of_another_study_is_told_before_any_trains(say, tmp_path):
    other = Workdir(tmp_path / "root" / "seed=2")
    other.root.mkdir(parents=True)
    config = json.dumps(dataclasses.asdict(StudyConfig(num_replicates=3)))
    write_sealed(other.config, config.encode())
    code, _, err = say("--config=mnist1d:smoke", SEEDS, f"--workdir={tmp_path / 'root'}")
    assert code == 2
    assert "seed=2 was made with another config" in err
    assert not (tmp_path / "root" / "seed=0").exists()


def test_a_sweep_has_a_folder_beside_that_of_its_config(own, say, tmp_path):
    of_file = tmp_path / "runs" / "mnist1d_smoke-seeds" / "seed=0"
    of_own = tmp_path / "runs" / "own-sweep" / POINTS[1]
    flags = {
        of_file: (
            "--config=mnist1d:smoke",
            f"--sweep={ROOT / 'configs/sweeps/seeds.py'}",
        ),
        of_own: (own,),
    }
    for folder, given in flags.items():
        folder.mkdir(parents=True)
        (folder / "something").touch()
        code, _, err = say(*given, cwd=tmp_path, PYTHONPATH=str(ROOT))
        assert code == 2
        assert f"{folder.relative_to(tmp_path)} is not empty and holds no study" in err


@pytest.mark.slow
def test_each_point_has_the_records_that_it_has_by_itself(own, say, commands, tmp_path):
    root = tmp_path / "root"
    code, out, err = say(own, f"--workdir={root}")
    assert code == 2
    failed = "optimizer.learning_rate=1e+30: the loss of replicate 0, arm ticket, level 0"
    assert failed in err
    assert "2 of 3 studies are finished" in err
    *_, told = out.splitlines()
    assert told == f"page     {root}/comparison.html"
    assert "dense net, % accuracy" in out and POINTS[0].partition("=")[2] in out
    page = (root / "comparison.html").read_text()
    for point in POINTS:
        alone = tmp_path / "alone" / point
        flags = own, f"--config.{point}", f"--workdir={alone}"
        assert commands.run("lth_jax.main", *flags)[0] == 0
        assert texts(Workdir(root / point)) == texts(Workdir(alone))
        assert point.removeprefix("init.name=") in page

    # What is finished is left alone; what failed is tried again.
    before = {p: p.stat().st_mtime_ns for p in (root / POINTS[0]).rglob("*")}
    code, _, err = say(own, f"--workdir={root}")
    assert code == 2
    assert "to train: 1 of 3 studies" in err
    assert {p: p.stat().st_mtime_ns for p in (root / POINTS[0]).rglob("*")} == before


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_sweep_that_is_stopped_goes_on(
    signum, user_environment, undisturbed_study, tmp_path
):
    root, two = tmp_path / "seeds", tmp_path / "two.py"
    two.write_text("def sweep(add):\n    add(seed=0)\n    add(seed=1)\n")
    flags = *TINY, f"--sweep={two}", f"--workdir={root}"
    command = [sys.executable, "-m", "lth_jax.sweep", *flags]
    process = subprocess.Popen(command, cwd=ROOT, env=user_environment)
    wait_for(lambda: has_saved(root / "seed=1"))
    process.send_signal(signum)
    saved = signum == signal.SIGTERM
    assert process.wait(60) == (Exit.SAVED if saved else -signum)
    first = {p: p.stat().st_mtime_ns for p in (root / "seed=0").rglob("*.csv")}
    assert first  # seeds are programs of their own: the first has trained to its end
    done = subprocess.run(
        command, cwd=ROOT, env=user_environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "to train: 1 of 2 studies" in done.stderr
    assert {p: p.stat().st_mtime_ns for p in (root / "seed=0").rglob("*.csv")} == first
    assert texts(Workdir(root / "seed=0")) == texts(undisturbed_study.files)
    page = (root / "comparison.html").read_text()
    assert all(f"seed={seed}" in page for seed in range(2))
