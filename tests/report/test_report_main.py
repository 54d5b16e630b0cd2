"""The command that makes reports again, as a user types it."""

import functools
import itertools
import json
import shutil

import pytest
from support.shards import shard
from support.tiers import quick

from lth_jax import report
from lth_jax.analysis.verdict import as_json
from lth_jax.report.material import gather
from lth_jax.store.workdir import Workdir


@pytest.fixture
def run(commands):
    """Runs the command; gives exit code, stdout, stderr."""
    return functools.partial(commands.run, "lth_jax.report")


@pytest.fixture
def study(tiny_study, tmp_path):
    shutil.copytree(tiny_study.root, tmp_path / "study")
    return Workdir(tmp_path / "study")


def test_it_writes_page_figures_verdict_and_table(run, study):
    code, out, err = run(f"--workdir={study.root}")
    assert (code, err) == (0, "")
    for path in (study.page, study.figures, study.verdict, study.table):
        assert str(path) in out
    assert study.page.read_text().startswith("<!doctype html>")
    assert out.splitlines()[1].split()[:3] == ["level", "density", "accuracy"]
    assert json.loads(study.verdict.read_text())["accuracy_margin"] == 0.002
    figures = sorted(study.figures.iterdir())
    assert {path.suffix for path in figures} == {".png", ".pdf"}
    assert all(path.stat().st_size > 1000 for path in figures)
    assert not list(study.root.rglob(".unfinished*"))

    # Again, in another process, and it is the same to the last byte.
    before = [path.read_bytes() for path in (study.page, study.verdict)]
    study.page.unlink()
    assert f"{report.write(study)}\n" == out
    assert [path.read_bytes() for path in (study.page, study.verdict)] == before
    assert sorted(study.figures.iterdir()) == figures


@pytest.mark.slow
def test_another_margin_gives_another_verdict(run, study):
    config = study.config.read_bytes()
    default = json.loads(json.dumps(as_json(gather(study, None).verdict)))
    code, out, _ = run(f"--workdir={study.root}", "--accuracy_margin=0.9")
    assert code == 0
    assert "90 points below it at most" in out
    wide = json.loads(study.verdict.read_text())
    assert wide["accuracy_margin"] == 0.9
    assert wide["levels"] != default["levels"]
    assert wide["summaries"] == default["summaries"]
    page = " ".join(study.page.read_text().split())
    assert "no more than 90 points below it" in page
    assert study.config.read_bytes() == config


def test_several_studies_make_one_page(run, study, tmp_path):
    (tmp_path / "other").symlink_to(study.root)
    flags = [f"--workdir={tmp_path / name}" for name in ("study", "other")]
    code, out, err = run(*flags, f"--out={tmp_path / 'both.html'}")
    assert (code, err) == (0, "")
    assert out.endswith(f"\npage     {tmp_path / 'both.html'}\n")
    assert "Lottery tickets side by side" in (tmp_path / "both.html").read_text()
    assert not study.page.exists()


@pytest.mark.slow
def test_shards_are_reported_as_one_study_in_a_folder_of_its_own(run, study, tmp_path):
    other = shard(study, tmp_path / "other", 4)
    flags = [f"--workdir={files.root}" for files in (other, study)]
    merged = Workdir(tmp_path / "new" / "merged")
    code, out, err = run("--merge", *flags, f"--out={merged.root}")
    assert code == 0
    assert (
        err == "warning: Replicates are missing between those that there are: 2 to 3.\n"
    )
    assert "Means over 4 replicates" in " ".join(out.split())
    assert "4 replicates" in merged.table.read_text()
    for path in (merged.page, merged.figures, merged.verdict, merged.table):
        assert str(path) in out
    assert "records" not in out
    written = {"figures", "report.html", "table.txt", "verdict.json"}
    assert {path.name for path in merged.root.iterdir()} == written
    verdict = json.loads(merged.verdict.read_text())
    assert verdict["num_replicates"] == 4
    assert not study.page.exists() and not other.page.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--workdir: missing; such as --workdir=runs/mnist1d"),
        (("--workdir=runs/nowhere",), "workdir: runs/nowhere holds no study"),
        (("--workdir=README.md",), "README.md"),
        (("--workdir={tmp_path}",), "holds no study"),
        (("--workdir={study}", "--nope=1"), "Unknown command line flag 'nope'"),
        (("--workdir={study}", "level_3"), "unknown argument 'level_3'"),
        (
            ("--workdir={study}", "--accuracy_margin=1.5"),
            "accuracy_margin: 1.5 is not allowed",
        ),
        (
            ("--workdir={study}", "--accuracy_margin=nan"),
            "accuracy_margin: nan is not allowed",
        ),
        (("--workdir={study}", "--accuracy_margin=lots"), "--accuracy_margin=lots"),
        (
            ("--workdir={study}", "--workdir={study}", "--out={tmp_path}/a/b.html"),
            "No such file or directory",
        ),
        (
            ("--workdir={study}", "--workdir={study}", "--merge", "--out={tmp_path}/a"),
            "overlap; shards must not (replicates: 0 to 1)",
        ),
        (
            ("--workdir={study}", "--merge", "--out={study}"),
            "--out: {study} holds a study",
        ),
    ],
    ids=lambda v: v[-1] if isinstance(v, tuple) and v else "",
)
def test_bad_input_is_told_in_one_line(flags, message, run, study, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    flags = [flag.format(study=study.root, tmp_path=tmp_path) for flag in flags]
    code, out, err = run(*flags)
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert line.startswith("error: ")
    assert message.format(study=study.root) in line
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("how", "folder"),
    quick(
        ("cut", "tickets"), of=itertools.product(("cut", "gone"), ("tickets", "weights"))
    ),
)
def test_a_damaged_side_file_costs_its_own_figures(run, study, folder, how):
    path = study.root / folder / "level_01.npz"
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        path.unlink()
    code, _, err = run(f"--workdir={study.root}")
    assert code == 0
    (line,) = err.strip().splitlines()
    assert line.startswith("warning: ")
    assert str(path) in line
    assert study.page.exists()


def test_records_that_are_cut_short_are_told_in_one_line(run, study):
    path = study.records / "level_01-reinit.csv"
    path.write_text(path.read_text()[:-5] + "x\n")
    code, _, err = run(f"--workdir={study.root}")
    assert code == 2
    (line,) = err.strip().splitlines()
    assert str(path) in line
    assert not study.page.exists()
