"""What trackers are given, on whole studies of a second or two."""

import contextlib
import dataclasses
import json
import pathlib
import shutil
import struct
import sys
import types

import numpy as np
import pytest
from support.damage import flip_a_byte
from support.runs import Stop, run, texts
from support.tiers import quick
from tensorboardX.proto.event_pb2 import Event, SessionLog

from lth_jax import config as lth_config
from lth_jax.lottery.executor import Executor
from lth_jax.lottery.study import build
from lth_jax.lottery.tickets import Tickets
from lth_jax.store import records
from lth_jax.store.checkpoints import Newest
from lth_jax.store.files import write_sealed
from lth_jax.store.trackers import TrackerError, Trackers, check
from lth_jax.store.workdir import Workdir

TAGS = {
    "train/batch_loss",
    "validation/loss",
    "validation/accuracy",
    "test/loss",
    "test/accuracy",
}


def events(path):
    """The events of a file, as TensorBoard reads them: a cut one ends it."""
    data = path.read_bytes()
    while len(data) >= 12:
        (length,) = struct.unpack("<Q", data[:8])
        if len(data) < 16 + length:
            return
        yield Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]


def points(files):
    """What TensorBoard shows of a workdir: by run and tag, the (step, value) pairs."""
    found = {}
    root = files.root / "tensorboard"
    for path in sorted(root.glob("*/*/events.out.tfevents.*")):
        for event in events(path):
            if event.session_log.status == SessionLog.START:
                for (run, _), pairs in found.items():
                    if run == path.parent.relative_to(root).as_posix():
                        pairs[:] = [pair for pair in pairs if pair[0] < event.step]
            for value in event.summary.value:
                key = path.parent.relative_to(root).as_posix(), value.tag
                found.setdefault(key, []).append((event.step, value.simple_value))
    return found


def recorded(files):
    """The same from the records: means over the replicates."""
    curves = {}
    for r in records.read(files.records):
        for (split, metric), curve in r.curves.items():
            if f"{split}/{metric}" in TAGS:
                key = f"{r.arm}/level_{r.level:02d}", f"{split}/{metric}"
                curves.setdefault(key, []).append(curve)
    return {
        key: list(
            zip(mine[0].steps, np.mean([c.values for c in mine], axis=0), strict=True)
        )
        for key, mine in curves.items()
    }


def assert_complete(files):
    """Every evaluation in the records is there once, in order, and nothing else."""
    found, expected = points(files), recorded(files)
    assert found.keys() == expected.keys()
    for key, pairs in expected.items():
        assert [step for step, _ in found[key]] == [step for step, _ in pairs]
        np.testing.assert_allclose(found[key], pairs, rtol=1e-6)


@pytest.fixture(scope="module")
def config(tiny_config):
    return dataclasses.replace(tiny_config, log=lth_config.LogConfig(tensorboard=True))


@pytest.fixture(scope="module")
def built(config):
    return build(config)


@pytest.fixture(scope="module")
def finished(config, built, tmp_path_factory):
    """An uninterrupted study."""
    return run(config, tmp_path_factory.mktemp("scalars") / "finished", built)


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished study, to be damaged."""
    shutil.copytree(finished.root, tmp_path / "copy")
    return Workdir(tmp_path / "copy")


def test_every_evaluation_is_there_once_by_arm_and_level(finished):
    assert_complete(finished)
    found = points(finished)
    assert {name for name, _ in found} == {
        "ticket/level_00",
        *(f"{arm}/level_0{i}" for arm in ("ticket", "reinit", "shuffle") for i in (1, 2)),
    }
    assert {tag for _, tag in found} == TAGS


def test_records_and_tickets_do_not_depend_on_it(tiny_config, finished, tmp_path):
    off = run(tiny_config, tmp_path)
    assert not (tmp_path / "tensorboard").exists()
    assert texts(off) == texts(finished)
    for path in off.tickets.glob("*.npz"):
        with np.load(path) as a, np.load(finished.tickets / path.name) as b:
            for name in set(a.files) - {"provenance"}:
                np.testing.assert_array_equal(a[name], b[name])


def test_what_is_evaluated_can_be_seen_at_every_boundary(config, built, tmp_path):
    config = dataclasses.replace(config, num_levels=1)
    seen = []

    def look():
        pairs = points(Workdir(tmp_path)).get(("ticket/level_00", "test/loss"), ())
        seen.append([step for step, _ in pairs])

    run(config, tmp_path, dataclasses.replace(built, config=config), look)
    assert seen == [[10, 20], [10, 20, 30, 40], [10, 20, 30, 40]]


@pytest.mark.slow
def test_interrupted_at_every_boundary_each_step_is_there_once(
    config, built, finished, tmp_path
):
    def stop():
        raise Stop

    for _ in range(5 * 3):  # five calls, two segments each and then their records
        with pytest.raises(Stop):
            run(config, tmp_path, built, stop)
    files = run(config, tmp_path, built, stop)
    assert_complete(files)
    assert points(files) == points(finished)


@pytest.mark.slow
@pytest.mark.parametrize("cut", [0, 30])
def test_killed_before_it_is_saved_each_step_is_there_once(
    cut, config, tmp_path, monkeypatch
):
    config = dataclasses.replace(config, checkpoint_every_steps=10, num_levels=1)
    built = build(config)
    real = Newest.save

    def save(self, step, tree):
        if step == 20:
            raise Stop
        real(self, step, tree)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(Newest, "save", save)
        run(config, tmp_path, built)
    if cut:  # then in the middle of the write, before it was noted
        newest = max(tmp_path.rglob("events.*"))
        newest.write_bytes(newest.read_bytes()[: newest.stat().st_size - cut])
        note = json.loads((tmp_path / "trackers.json").read_text())
        note["tensorboard"]["ticket/level_00"] = 10
        write_sealed(tmp_path / "trackers.json", json.dumps(note).encode())
    assert_complete(run(config, tmp_path, built))


def test_turned_on_on_the_way_it_shows_what_trains_then(
    tiny_config, config, built, finished, tmp_path
):
    boundaries = iter(range(100))

    def stop():
        if next(boundaries) == 3:  # in the first segment of level 1
            raise Stop

    with pytest.raises(Stop):
        run(tiny_config, tmp_path, check_interrupted=stop)
    files = run(config, tmp_path, built)
    assert points(files) == {
        key: pairs
        for key, pairs in points(finished).items()
        if key[0] != "ticket/level_00"
    }


def test_a_level_that_is_made_again_is_there_once(config, built, copy):
    shutil.rmtree(copy.level(2))
    for path in copy.records.glob("level_02-*"):
        path.unlink()
    flip_a_byte(copy.level(1))
    run(config, copy.root, built)
    assert_complete(copy)


@pytest.mark.slow
def test_remaking_the_rewind_point_leaves_the_dense_nets_run_whole(config, tmp_path):
    late = lth_config.RewindConfig("late_rewind", "15")
    config = dataclasses.replace(config, rewind=late, num_levels=2)
    built = build(config)
    done = iter([False] * 4 + [True])  # after steps 10, 15, 20, 40; at the level's end

    def stop():
        if next(done):
            raise Stop

    with pytest.raises(Stop):
        run(config, tmp_path, built, stop)
    shutil.rmtree(tmp_path / "checkpoints" / "rewind")
    files = run(config, tmp_path, built)
    assert_complete(files)
    steps = {name: [s for s, _ in pairs] for (name, _), pairs in points(files).items()}
    assert steps["ticket/level_00"] == [10, 15, 20, 30, 40]
    assert steps["ticket/level_01"] == [20, 30, 40]


@pytest.mark.slow
def test_groups_that_train_together_have_runs_of_their_own(config, tmp_path):
    files = run(dataclasses.replace(config, members_per_call=8), tmp_path)
    assert_complete(files)


def test_what_is_not_installed_is_told_before_anything_is_written(
    config, tiny_config, built, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    check(tiny_config)
    expected = r'log\.tensorboard: True needs .*pip install -e "\.\[tensorboard\]"'
    with pytest.raises(TrackerError, match=expected):
        check(config)
    with pytest.raises(TrackerError, match=expected):
        Executor([Tickets(built, Workdir(tmp_path / "study"))])
    assert not (tmp_path / "study").exists()


class Fake(types.ModuleType):
    """The functions of wandb and trackio that are used, and what they were told."""

    def __init__(self, name):
        super().__init__(name)
        self.runs, self.open = {}, set()

    def init(self, **settings):
        return FakeRun(self, settings)


class FakeRun:
    def __init__(self, module, settings):
        self.module, self.key = module, settings.get("id", settings["name"])
        assert settings["group"]
        assert settings["resume"] == "allow"
        module.runs.setdefault(self.key, [])
        assert self.key not in module.open
        module.open.add(self.key)

    def log(self, values, step):
        self.module.runs[self.key].append((step, values))

    def finish(self):
        self.module.open.remove(self.key)


@pytest.fixture(params=quick("wandb", of=["wandb", "trackio"]))
def fake(request, monkeypatch):
    module = Fake(request.param)
    monkeypatch.setitem(sys.modules, request.param, module)
    return module


def test_other_trackers_get_the_same_once_though_killed(
    fake, tiny_config, built, finished, tmp_path
):
    log = lth_config.LogConfig(**{fake.__name__: True})
    config = dataclasses.replace(tiny_config, log=log)
    built = dataclasses.replace(built, config=config)
    boundaries = iter(range(100))

    def stop():
        if next(boundaries) % 3 == 1:
            raise Stop

    while True:
        try:
            files = run(config, tmp_path / "my study", built, stop)
        except Stop:
            assert not fake.open
            continue
        break
    assert not fake.open
    expected = points(finished)
    assert len(fake.runs) == len({run for run, _ in expected})
    for key, logged in fake.runs.items():
        (name,) = {
            run for run, _ in expected if key.endswith((run, run.replace("/", "-")))
        }
        for tag in TAGS:
            pairs = [(step, values[tag]) for step, values in logged]
            np.testing.assert_allclose(pairs, expected[name, tag], rtol=1e-6)
    assert not (files.root / "tensorboard").exists()


def test_a_tracker_that_cannot_begin_is_told_in_a_line(fake, tiny_config, tmp_path):
    def init(**settings):
        raise RuntimeError("no login")

    fake.init = init
    log = lth_config.LogConfig(**{fake.__name__: True})
    trackers = Trackers(dataclasses.replace(tiny_config, log=log), Workdir(tmp_path))
    with pytest.raises(TrackerError, match=f"^log.{fake.__name__}: True; no login$"):
        trackers.write("ticket", 0, [1], {"test/loss": np.ones((2, 1))})
    trackers.close()


def test_means_are_over_the_replicates_and_what_is_not_evaluated_is_left_out(
    fake, tiny_config, tmp_path
):
    log = lth_config.LogConfig(**{fake.__name__: True})
    trackers = Trackers(dataclasses.replace(tiny_config, log=log), Workdir(tmp_path))
    nan = np.nan
    curves = {
        "validation/loss": np.array([[1.0, 2, nan], [3, 6, nan]]),
        "test/loss": np.array([[nan, 4, nan], [nan, 5, nan]]),
    }
    trackers.write("ticket", 0, [10, 20, 30], curves)
    trackers.write("ticket", 0, [10, 20, 30], curves)
    ((_, logged),) = fake.runs.items()
    assert logged == [
        (10, {"validation/loss": 2.0}),
        (20, {"validation/loss": 4.0, "test/loss": 4.5}),
    ]
    assert fake.open
    trackers.close()
    assert not fake.open


def test_a_full_disk_is_an_error_at_once(config, tmp_path, monkeypatch):
    trackers = Trackers(config, Workdir(tmp_path))
    steps = list(range(2000))  # far more than any queue or buffer holds
    with contextlib.suppress(OSError), pathlib.Path("/dev/full").open("wb") as full:
        monkeypatch.setattr("tensorboardX.record_writer.open_file", lambda path: full)
        with pytest.raises(OSError, match="No space left"):
            trackers.write("ticket", 0, steps, {"test/loss": np.ones((2, 2000))})
        with pytest.raises(OSError, match="No space left"):
            trackers.close()


def test_a_damaged_note_is_told_before_anything_is_logged(config, tmp_path):
    note = tmp_path / "trackers.json"
    write_sealed(note, b'{"study": "one"}')
    note.write_text("{")
    watching = Trackers(config, Workdir(tmp_path))
    with pytest.raises(TrackerError, match=r"trackers\.json: damaged.*delete both"):
        watching.write("ticket", 0, [10], {"test/loss": np.zeros((1, 1))})
