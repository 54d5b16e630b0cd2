import glob

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from lth_jax.store import records
from lth_jax.store.files import write_sealed
from lth_jax.store.records import Curve, RecordsError, Run


def make_runs(arm="ticket", level=3, values=(0.5, 0.25), replicates=(0, 1)):
    curve = Curve(np.array([10, 20]), np.array(values, np.float32))
    return [
        Run(
            arm,
            r,
            level,
            0.512,
            {("test", "accuracy"): curve, ("validation", "loss"): curve},
        )
        for r in replicates
    ]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a[:4] == b[:4]
        assert a.curves.keys() == b.curves.keys()
        for key in a.curves:
            np.testing.assert_array_equal(a.curves[key].steps, b.curves[key].steps)
            np.testing.assert_array_equal(
                a.curves[key].values.astype(np.float32), b.curves[key].values
            )


def write_levels(folder, **levels):
    for arm, numbers in levels.items():
        for level in numbers:
            records.write(records.path_of(folder, arm, level), make_runs(arm, level))


@settings(max_examples=30)
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=2))
def test_float32_values_come_back_exactly(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("records")
    runs = make_runs(level=0, values=values)
    records.write(records.path_of(folder, "ticket", 0), runs)
    assert_same(records.read(folder), runs)


def test_files_are_read_by_level_and_arm(tmp_path):
    write_levels(tmp_path, ticket=range(11), reinit=[1])
    (tmp_path / ".unfinished-level_03-ticket.csv").write_text("half a file")
    found = [(run.level, run.arm) for run in records.read(tmp_path)[::2]]
    levels = [(level, "ticket") for level in range(11)]
    assert found == [levels[0], (1, "reinit"), *levels[1:]]
    replicates = [run.replicate for run in records.read(tmp_path)]
    assert replicates == [0, 1] * 12


def test_pandas_reads_all_files_in_one_call(tmp_path):
    write_levels(tmp_path, ticket=(1, 2))
    frame = pd.concat(map(pd.read_csv, sorted(glob.glob(f"{tmp_path}/*.csv"))))
    assert tuple(frame.columns) == records.COLUMNS
    assert len(frame) == 2 * 2 * 2 * 2
    assert frame.value.dtype == float


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1; must be arm,"),
        ("a,b\n", "line 1; must be arm,"),
        (",".join(records.COLUMNS) + "\nticket,0,1,0.5,10,test\n", "line 2 is damaged"),
        (",".join(records.COLUMNS) + "\nticket,0,x,0.5,10,test,loss,1\n", "line 2"),
        (",".join(records.COLUMNS) + f"\nticket,0,1,0.5,{2**63},a,b,1\n", "line 2"),
        (",".join(records.COLUMNS) + f"\n{'x' * 200_000},0,1,0.5,1,a,b,1\n", "line 2"),
    ],
)
def test_damaged_records_are_told_with_file_and_line(tmp_path, content, message):
    (tmp_path / "level_00-ticket.csv").write_text(content)
    with pytest.raises(RecordsError, match=message):
        records.read(tmp_path)


def test_records_cut_short_or_doubled_are_told(tmp_path):
    write_levels(tmp_path, ticket=(0, 1, 2))
    path = records.path_of(tmp_path, "ticket", 2)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines)[:-3])  # what is left reads well, and says less
    with pytest.raises(RecordsError, match=r"level_02-ticket\.csv: damaged, or .* again"):
        records.read(tmp_path)
    for rows in (1, 3, 5, len(lines) - 1):  # header alone; within and between replicates
        write_sealed(path, "".join(lines[:rows]).encode())
        with pytest.raises(RecordsError, match=r"level_02-ticket.csv: cut short; delete"):
            records.read(tmp_path)
    write_sealed(path, "".join(lines).encode())
    write_sealed(tmp_path / "level_02-ticket copy.csv", "".join(lines).encode())
    with pytest.raises(
        RecordsError, match=r"ticket copy.csv: holds what level_02-ticket"
    ):
        records.read(tmp_path)


@pytest.mark.parametrize(
    ("levels", "missing"),
    [
        ({"ticket": (0, 2)}, "level_01-ticket.csv"),
        ({"ticket": (1, 2)}, "level_00-ticket.csv"),
        ({"reinit": (1,)}, "level_00-ticket.csv"),
        ({"ticket": (0, 1, 2), "reinit": (2,)}, "level_01-reinit.csv"),
        ({"ticket": (0, 1, 2, 3, 4), "shuffle": (1, 4)}, "level_02-shuffle.csv"),
    ],
)
def test_a_missing_level_of_an_arm_is_told(tmp_path, levels, missing):
    write_levels(tmp_path, **levels)
    with pytest.raises(RecordsError, match=f"/{missing}: missing; the study's command"):
        records.read(tmp_path)


@pytest.mark.parametrize("name", ["level_02-ticket.csv", "level_00-ticket.csv"])
def test_the_last_level_is_missed_too_since_its_sha256_is_there(tmp_path, name):
    write_levels(tmp_path, ticket=(0, 1, 2))
    (tmp_path / name).unlink()
    with pytest.raises(RecordsError, match=f"/{name}: missing; the study's command"):
        records.read(tmp_path)


@pytest.mark.parametrize(
    "levels",
    [
        {"ticket": (0,)},
        {"ticket": (0, 1)},
        {"ticket": (0, 1, 2, 3), "reinit": (1,)},
        {"ticket": (0, 1, 2, 3), "reinit": (1, 2), "shuffle": (1,)},
    ],
)
def test_a_study_that_goes_on_is_read_as_far_as_it_went(tmp_path, levels):
    write_levels(tmp_path, **levels)
    found = {(run.arm, run.level) for run in records.read(tmp_path)}
    assert found == {(arm, level) for arm in levels for level in levels[arm]}


def test_no_records_at_all_are_an_error(tmp_path):
    with pytest.raises(RecordsError, match="no records"):
        records.read(tmp_path)


def test_runs_of_shards_are_put_together_as_the_study_has_them():
    arms = [("ticket", 0), ("reinit", 1), ("ticket", 1), ("ticket", 2)]
    whole = [run for arm in arms for run in make_runs(*arm, replicates=range(5))]
    shards = [[r for r in whole if r.replicate in own] for own in ((0, 1), (2,), (3, 4))]
    assert records.merged(shards) == whole
    assert records.merged(shards[:1]) == shards[0]
    # What one of them has not come to yet is left out.
    shards[1] = [run for run in shards[1] if run.level < 2]
    assert records.merged(shards) == [run for run in whole if run.level < 2]


@pytest.mark.parametrize("what", ["fewer steps", "other steps", "another metric"])
def test_shards_that_measured_otherwise_are_no_study(what):
    first, second = make_runs(replicates=[0]), make_runs(replicates=[1])
    (curves,) = (run.curves for run in second)
    curve = curves["test", "accuracy"]
    if what == "fewer steps":
        curves["test", "accuracy"] = Curve(curve.steps[:1], curve.values[:1])
    elif what == "other steps":
        curves["test", "accuracy"] = curve._replace(steps=curve.steps + 1)
    else:
        curves["test", "loss"] = curves.pop(("test", "accuracy"))
    with pytest.raises(RecordsError, match="arm ticket, level 3: measured otherwise"):
        records.merged([first, second])
