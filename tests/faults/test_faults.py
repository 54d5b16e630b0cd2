"""The harness itself: it sees what it is there to see, and a small run finds nothing."""

import random
import shutil
import subprocess
import sys

import numpy as np
import pytest
from support.damage import DAMAGES
from support.paths import ROOT

from faults.damaged import lacks_two_way
from faults.mutations import mutate_npz, npz_bomb
from faults.outcomes import Case, Outcome, Said, judge
from faults.read_workdirs import are_equal
from faults.readers import limited_memory
from faults.study import content, differing

_LINE = "error: disk: full\n"


@pytest.mark.parametrize(
    ("code", "err", "outcome"),
    [
        (0, "", Outcome.IDENTICAL),
        (0, "warning: made again\n", Outcome.IDENTICAL),
        (2, _LINE, Outcome.CLEAR_ERROR),
        (2, f"warning: odd\n{_LINE}", Outcome.CLEAR_ERROR),
        (1, _LINE, Outcome.FELL_SHORT),
        (2, "", Outcome.FELL_SHORT),
        (2, _LINE * 2, Outcome.FELL_SHORT),
        (2, f"{_LINE}and more\n", Outcome.FELL_SHORT),
        (2, f"Traceback (most recent call last):\n{_LINE}", Outcome.FELL_SHORT),
        (0, "Traceback (most recent call last):\n", Outcome.FELL_SHORT),
        (-9, "", Outcome.FELL_SHORT),
    ],
)
def test_a_clear_error_is_one_line_at_the_end(code, err, outcome):
    assert judge("did", Said(code, "", err), []).outcome == outcome


def test_another_number_falls_short_whatever_is_said():
    said = Said(0, "", "warning: odd\n")
    assert judge("did", said, ["verdict.json"]).outcome == Outcome.FELL_SHORT


def test_one_digit_of_a_record_is_another_study(tiny_study, tmp_path):
    shutil.copytree(tiny_study.root, tmp_path / "study")
    expected = content(tiny_study.root)
    assert differing(content(tmp_path / "study"), expected) == []
    path = tmp_path / "study" / "records" / "level_01-reinit.csv"
    path.write_text(path.read_text()[:-2] + "x\n")
    path.with_name("level_02-ticket.csv").unlink()
    names = ["records/level_01-reinit.csv", "records/level_02-ticket.csv"]
    assert differing(content(tmp_path / "study"), expected) == names


@pytest.mark.parametrize("name", DAMAGES)
def test_every_damage_changes_the_file(name, tmp_path):
    path, other = tmp_path / "mine", tmp_path / "other"
    path.write_bytes(b"0123456789" * 100)
    other.write_bytes(b"abc")
    DAMAGES[name](path, random.Random(0), other)
    assert not path.is_file() or path.read_bytes() != b"0123456789" * 100


def test_a_case_is_the_same_each_time(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez(path, a=np.arange(3.0), b=np.array("{}"))
    made = [
        [mutate_npz(Case("npz", 0, i).rng, path.read_bytes()) for i in range(1, 60)]
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert len(set(made[0])) > 40


def test_memory_without_bounds_is_seen(tmp_path):
    path = tmp_path / "bomb.npz"
    np.save(tmp_path / "small.npy", np.zeros(3, np.float32))
    path.write_bytes(npz_bomb({"a.npy": (tmp_path / "small.npy").read_bytes()}))
    assert path.stat().st_size < 8e6
    with np.load(path) as arrays, limited_memory(2**28), pytest.raises(MemoryError):
        _ = arrays["a"]


def test_trees_with_another_number_are_not_equal():
    tree = {"a": np.arange(3), "b": ["x", None]}
    assert are_equal(tree, {"a": np.arange(3), "b": ["x", None]})
    assert not are_equal(tree, {"a": np.array([0, 1, 3]), "b": ["x", None]})
    assert not are_equal(tree, {"a": np.arange(3), "b": ["y", None]})


@pytest.mark.slow
def test_a_small_run_finds_nothing_that_falls_short():
    counts = {
        "kills": 2,
        "signals": 0,
        "several": 0,  # as tests/command/test_together.py
        "damaged": 3,
        "disks": 1,
        "together": 1,
        "switches": 0,
        "inputs": 40,
    }
    flags = [f"--{name}={number}" for name, number in counts.items()]
    run = subprocess.run(
        [sys.executable, "-m", "tests.faults", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "fell short" in run.stdout


def test_a_verdict_may_lack_intervals_over_test_examples_and_nothing_else():
    whole = {"levels": [{"mean": 1.5, "final_two_way": [1.5, 1.0, 2.0]}], "n": 3}
    lacking = {"levels": [{"mean": 1.5, "final_two_way": [None] * 3}], "n": 3}
    assert lacks_two_way(lacking, whole)
    for other in (
        {"levels": [{"mean": 1.6, "final_two_way": [1.5, 1.0, 2.0]}], "n": 3},
        {"levels": [], "n": 3},
        {"levels": lacking["levels"]},
    ):
        assert not lacks_two_way(other, whole)
