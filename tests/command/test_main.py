"""The command line, as a user types it, in processes of its own."""

import functools
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from support.paths import ROOT
from support.runs import texts

import lth_jax
from lth_jax.errors import Exit
from lth_jax.store import records
from lth_jax.store.workdir import Workdir

SMOKE = ("--config=configs/mnist1d.py:smoke",)
# Seven calls of ten segments: long enough to be killed anywhere.
KILLABLE = (
    *SMOKE,
    "--config.num_steps=1000",
    "--config.checkpoint_every_steps=100",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A folder of compiled programs that nobody else writes to, as a variable."""
    return {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="module")
def start(user_environment):
    """Starts the command; gives its process."""

    def start(*flags, **variables):
        return subprocess.Popen(
            [sys.executable, "-m", "lth_jax.main", *flags],
            cwd=ROOT,
            env={**user_environment, **variables},
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


@pytest.fixture(scope="module")
def say(commands):
    """The same, sooner: for what is about the command's words."""
    return functools.partial(commands.run, "lth_jax.main")


@pytest.fixture(scope="module")
def uninterrupted(say, cache, tmp_path_factory):
    """The records of a killable study that nothing disturbed."""
    workdir = tmp_path_factory.mktemp("main") / "whole"
    code, _, err = say(*KILLABLE, f"--workdir={workdir}", **cache)
    assert code == 0, err
    return texts(Workdir(workdir))


def test_a_study_ends_with_table_verdict_and_where_things_are(smoke_study):
    workdir, out, err = smoke_study.files.root, smoke_study.printed, smoke_study.told
    lines = out.splitlines()
    assert lines[0].replace("-", "").split() == ["ticket", "reinit", "shuffle"]
    assert lines[1].split() == ["level", "density", *["accuracy", "stop"] * 3]
    assert [line.split()[:2] for line in lines[2:5]] == [
        ["0", "100.00%"],
        ["1", "66.00%"],
        ["2", "43.70%"],
    ]
    # One an arm; fewer where an interval is told by its ends.
    assert all(1 <= line.count("±") <= 3 for line in lines[3:5])
    assert "Means over 3 replicates" in " ".join(out.split())
    sentences, places = (part.splitlines() for part in out.split("\n\n")[-2:])
    assert "winning ticket" in " ".join(sentences)
    assert all(len(line) <= 80 for line in out.splitlines() if line not in places)
    table = (workdir / "table.txt").read_text().splitlines()
    assert table[1].split()[:6] == ["level", "density", "weights", "stop", "step", "acc"]
    assert [line.split()[2] for line in table[2:5]] == ["15,000", "9,900", "6,555"]
    named = {
        "page": "report.html",
        "figures": "figures",
        "verdict": "verdict.json",
        "table": "table.txt",
        "records": "records",
        "tickets": "tickets",
    }
    assert [line.split()[:2] for line in places] == [
        [what, str(workdir / name)] for what, name in named.items()
    ]
    verdict = json.loads((workdir / "verdict.json").read_text())
    assert [level["weights_left"] for level in verdict["levels"]] == [9900, 6555]
    assert (workdir / "report.html").read_text().startswith("<!doctype html>")
    assert {p.suffix for p in (workdir / "figures").iterdir()} == {".png", ".pdf"}
    assert "compiling level 0 ticket:" in err
    assert re.search(r"level 2 [a-z, ]*shuffle: 100%", err)
    assert "steps/s" in err


def test_a_finished_study_is_left_alone(say, smoke_study, tmp_path):
    root, workdir = smoke_study.files.root, tmp_path / "smoke"
    shutil.copytree(root, workdir)
    before = texts(Workdir(workdir))
    page = (workdir / "report.html").stat().st_mtime_ns
    code, again, err = say(*SMOKE, f"--workdir={workdir}", "--config.num_replicates=3")
    assert page == (workdir / "report.html").stat().st_mtime_ns  # not drawn anew
    assert (code, again) == (0, smoke_study.printed.replace(str(root), str(workdir)))
    assert "this study is finished" in err
    assert texts(Workdir(workdir)) == before

    # With another config it is refused.
    code, _, err = say(*SMOKE, f"--workdir={workdir}", "--config.prune.fraction=0.3")
    assert code == 2
    assert "num_replicates: 3 there, 2 now; prune.fraction: 0.35 there, 0.3 now" in err
    assert texts(Workdir(workdir)) == before


@pytest.mark.slow
def test_a_cifar_config_runs_small_on_real_images(say, raw_cifar10, tmp_path):
    workdir = tmp_path / "conv2"
    code, out, err = say(
        "--config=configs/conv2.py:smoke",
        "--config.num_replicates=1",
        "--config.arms=ticket,",  # each job evaluates 60,000 images
        f"--config.data.raw_dir={raw_cifar10}",
        f"--workdir={workdir}",
    )
    assert code == 0, err
    runs = records.read(workdir / "records")
    jobs = [(r.level, r.arm) for r in runs]
    assert jobs == [(0, "ticket"), (1, "ticket")]
    assert all(0.25 < r.density < 0.55 for r in runs if r.level == 1)
    assert all(r.curves["train", "accuracy"].values[-1] > 0.1 for r in runs)
    # A copy that is not the official one is told wherever results are.
    note = json.loads((workdir / "environment.json").read_text())["data_note"]
    assert note is None or (note in err and out.count(note) == 1)
    assert ("not the official ones" in out) == (note is not None)


@pytest.mark.slow
def test_a_signal_or_two_at_once_save_and_exit_with_a_code_that_says_to_go_on(
    start, say, cache, uninterrupted, tmp_path
):
    workdir = tmp_path / "interrupted"
    # Slurm sends SIGTERM twice; test_interruption has all five.
    sent = (signal.SIGINT, 1), (signal.SIGUSR1, 1), (signal.SIGTERM, 2)
    for level, (signum, times) in enumerate(sent):
        process = start(*KILLABLE, f"--workdir={workdir}", **cache)
        while not (workdir / "records" / f"level_{level:02d}-ticket.csv").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        time.sleep(0.2)  # what comes next trains, or is compiled
        for _ in range(times):
            process.send_signal(signum)
            time.sleep(0.01)
        _, err = process.communicate(timeout=60)
        assert process.returncode == Exit.SAVED == 85, signum
        assert f"{signum.name}: " in err
        assert "go on with the same command" in err
        assert "Traceback" not in err
        done = texts(Workdir(workdir))
        assert level < len(done) < len(uninterrupted)
    code, _, err = say(*KILLABLE, f"--workdir={workdir}", **cache)
    assert code == 0, err
    assert texts(Workdir(workdir)) == uninterrupted


@pytest.mark.parametrize("command", ["lth_jax", "lth_jax.main"])
def test_it_says_its_version_configs_and_flags(command, commands, tmp_path):
    def say(flag):
        return commands.run(command, flag, cwd=tmp_path)[1]

    assert say("--version") == f"lth_jax {lth_jax.__version__}\n"
    assert "\nconv6     Conv-6 on CIFAR-10" in say("--list")
    assert "--config=lenet:smoke" in say("--help")
    assert "--workdir: The folder for all results" in say("--help")
    assert "\n--config.prune.fraction=0.2\n" in say("--help")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--config: missing; such as"),
        (("--config=configs/nope.py",), "--config: 'configs/nope.py'; no such file"),
        (("--config=nope",), "--config: 'nope'; no such file, nor one of conv2, conv4"),
        (("--config=mnist1d:nope",), "'nope'; must be one of smoke"),
        (("--config=configs/mnist1d.py:nope",), "'nope'; must be one of smoke"),
        (
            (*SMOKE, "--config.prune.fractoin=0.3"),
            "prune.fractoin: no such field; allowed",
        ),
        (("--config", "configs/nope.py"), "--config: 'configs/nope.py'; no such file"),
        ((*SMOKE, "--config.data=mnist"), "data: a group of fields (augment, name, num_"),
        (
            (*SMOKE, "--config.batch_size=abc"),
            "batch_size: 'abc'; must be a whole number",
        ),
        ((*SMOKE, "--config.arms=("), "arms: '(' is not allowed; must be one of ticket"),
        ((*SMOKE, "--config.prune.densities=(0.5"), "prune.densities"),
        ((*SMOKE, "--config.prune.densities=0.5,\0"), "prune.densities"),
        ((*SMOKE, "--config.batch_size="), "batch_size: ''; must be a whole number"),
        ((*SMOKE, "--config.prune.fraction=1.5"), "prune.fraction: 1.5 is not allowed"),
        ((*SMOKE, "--config.model.name=nowhere:Net"), "model.name: 'nowhere:Net' cannot"),
        ((*SMOKE, "--config.arms=ticket,continu"), "arms: 'continu' is not allowed"),
        ((*SMOKE, "--config.batch_size=3001"), "batch_size: 3001 is not allowed"),
        ((*SMOKE, "--config.data.name=nope"), "data.name: 'nope'; must be one of"),
        ((*SMOKE, "--config.data.num_validation=4000"), "data.num_validation: 4000;"),
        ((*SMOKE, "--nope=1"), "Unknown command line flag 'nope'"),
        ((*SMOKE, "level_3"), "unknown argument 'level_3'"),
        ((*SMOKE, "--workdir=README.md/below"), "workdir: README.md/below cannot be"),
    ],
    ids=lambda v: v[-1] if isinstance(v, tuple) and v else "",
)
def test_bad_input_is_told_in_one_line_and_leaves_nothing(flags, message, say, tmp_path):
    if not any(flag.startswith("--workdir") for flag in flags):
        flags = (*flags, f"--workdir={tmp_path / 'study'}")
    code, out, err = say(*flags)
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("JAX_PLATFORMS", "abacus", "abacus"),
        ("JAX_NUMPY_DTYPE_PROMOTION", "strict", "must be 'standard'"),
    ],
)
def test_what_jax_is_told_and_cannot_do_is_told_in_one_line(
    name, value, allowed, run, tmp_path
):
    code, out, err = run(*SMOKE, f"--workdir={tmp_path / 'study'}", **{name: value})
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert line.startswith(f"error: {name}: '{value}'; ") and allowed in line
    assert not (tmp_path / "study").exists()


def test_tensorboard_without_its_writer_is_told_and_leaves_nothing(run, tmp_path):
    (tmp_path / "tensorboardX.py").write_text("raise ImportError('not there')")
    flags = ("--config.log.tensorboard=True", f"--workdir={tmp_path / 'study'}")
    code, out, err = run(*SMOKE, *flags, PYTHONPATH=str(tmp_path))
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert line.startswith("error: log.tensorboard: True needs tensorboardX")
    assert not (tmp_path / "study").exists()


def test_a_config_file_with_an_unknown_field_is_told_in_one_line(say, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from lth_jax import config\n"
        "def get_config():\n"
        "    mine = config.default()\n"
        "    mine.num_stepz = 3\n"
        "    return mine\n"
    )
    code, _, err = say(f"--config={path}")
    assert code == 2
    (line,) = err.strip().splitlines()
    assert "num_stepz" in line


def test_a_loss_that_diverges_is_told_in_one_line(say, tmp_path):
    flags = ("--config.optimizer.name=sgd", "--config.optimizer.learning_rate=1e30")
    code, _, err = say(*SMOKE, *flags, f"--workdir={tmp_path / 'study'}")
    assert code == 2
    expected = "error: the loss of replicate 0, arm ticket, level 0 is no longer finite"
    assert expected in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_tickets_beat_their_controls(mnist1d_study):
    """The hypothesis itself, on configs/mnist1d.py."""
    verdict = json.loads(mnist1d_study.files.verdict.read_text())
    assert verdict["num_replicates"] == 10
    assert verdict["answers"]["winning"]
    against_dense = {
        c["level"]: c["early_stop_difference"]["value"]
        for c in verdict["comparisons"]
        if (c["arm"], c["reference"]) == ("ticket", "dense")
    }
    assert against_dense[2] > 0  # 44% of the weights
    assert against_dense[3] > 0  # 29%
    against_controls = [
        c
        for c in verdict["comparisons"]
        if c["reference"] in ("reinit", "shuffle") and c["level"] >= 3
    ]
    assert len(against_controls) == 2 * 3
    for comparison in against_controls:
        assert comparison["early_stop_difference"]["low"] > 0.01
        assert comparison["p"] < 0.01
        assert comparison["speedup"]["low"] > 1.2


@pytest.mark.slow
def test_the_second_run_starts_from_the_compilation_cache(
    say, cache, uninterrupted, tmp_path
):
    assert uninterrupted
    folder = pathlib.Path(cache["XDG_CACHE_HOME"]) / "lth_jax"
    compiled = {p.name for p in folder.iterdir() if not p.name.endswith("-atime")}
    assert compiled
    assert say(*KILLABLE, f"--workdir={tmp_path / 'second'}", **cache)[0] == 0
    assert compiled == {p.name for p in folder.iterdir() if not p.name.endswith("-atime")}


SETTINGS = {
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_ENABLE_X64": "1",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    # The locale is ASCII.
    "PYTHONUTF8": "0",
    "LC_ALL": "C",
}


@pytest.mark.slow
def test_a_study_ends_however_jax_and_the_locale_are_set(run, tmp_path):
    """In a process of its own: JAX and Python read these variables when they start."""
    small = "--config.num_levels=2", "--config.num_steps=50"
    flags = "--config=mnist1d:smoke", f"--workdir={tmp_path}/study", *small
    code, out, err = run(*flags, **SETTINGS)
    assert code == 0, err
    assert "weights" in out
    page = (tmp_path / "study" / "report.html").read_bytes()
    assert "±" in page.decode("utf-8")
