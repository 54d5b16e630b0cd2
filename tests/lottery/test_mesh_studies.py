"""Whole studies whose batches are split over devices, against one device a member."""

import dataclasses
import json
import signal

import jax
import pytest
from support.commands import run_module
from support.runs import assert_close, run, texts, values
from support.tiers import quick
from support.trees import assert_trees_equal

from lth_jax import config as lth_config
from lth_jax import devices
from lth_jax import run as runs
from lth_jax.config import ConfigError, MeshConfig
from lth_jax.lottery.programs import Programs
from lth_jax.lottery.study import build
from lth_jax.lottery.trainer import Trainer
from lth_jax.store import tickets
from lth_jax.store.workdir import Workdir, read_environment

KINDS = {
    "ticket": {"arms": ("ticket",)},
    "changing masks": {
        "arms": ("ticket", "rigl"),
        "dynamic": lth_config.DynamicConfig(update_every_steps=5),
    },
    "frozen": {"arms": ("ticket", "freeze")},
    "smaller nets": {
        "arms": ("ticket",),
        "compact_levels": True,
        "prune": lth_config.PruneConfig(structure="units", fraction=0.5),
    },
    "one in turn": {"arms": ("ticket",), "members_per_call": 1},
    "together": {"arms": ("ticket",), "member_axis": "vmap"},
}


def over(config, num_data, **changes):
    return dataclasses.replace(config, mesh=MeshConfig(num_data), **changes)


@pytest.mark.parametrize("kind", quick("ticket", of=KINDS))
def test_a_study_of_split_batches_is_the_study(kind, tiny_config, tiny_study, tmp_path):
    config = dataclasses.replace(tiny_config, num_levels=2, **KINDS[kind])
    whole = tiny_study if kind == "ticket" else run(config, tmp_path / "whole")
    split = run(over(config, 2), tmp_path / "split")
    found = values(split)
    assert_close(found, values(whole), found)
    for replicate in range(2):
        masks = [tickets.load(f.ticket(1), replicate)[1] for f in (split, whole)]
        assert_trees_equal(*masks)


def run_on(num_devices, config, folder, kill_at=0):
    """Runs a study, in `folder`/study, in a process of its own; gives its stderr."""
    path = folder / "given.json"
    path.write_text(json.dumps(dataclasses.asdict(config)))
    code, err = run_module(num_devices, "support.runs", path, folder / "study", kill_at)
    assert code == (-signal.SIGKILL if kill_at else 0), err
    return err


@pytest.fixture(scope="module")
def small(tiny_config):
    # Batches that any of the devices divide.
    return dataclasses.replace(
        tiny_config, num_levels=2, batch_size=32, arms=("ticket", "reinit")
    )


@pytest.fixture(scope="module")
def undisturbed(small, tmp_path_factory):
    """That study on one device, never killed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run_on(1, small, folder)
    return Workdir(folder / "study")


# Devices, and how many of them share a batch: killed there, and gone on here.
MOVES = {
    "from 8 to 1": ((8, 4), (1, None)),
    "from 2 to 8": ((2, 2), (8, 1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("move", MOVES)
def test_a_killed_study_goes_on_over_other_devices_and_says_so(
    move, small, undisturbed, tmp_path
):
    (before, data_before), (after, data_after) = MOVES[move]
    run_on(before, over(small, data_before), tmp_path, kill_at=5)
    files = Workdir(tmp_path / "study")
    assert files.all_in_training() and not files.level(1).exists()  # amid the last level
    err = run_on(after, over(small, data_after), tmp_path)
    moved = f"num_devices was {before}, is {after}; mesh.data was {data_before}, is"
    assert f"the study began elsewhere: {moved} {data_after}; what is still to" in err
    told = read_environment(files)
    assert (told["num_devices"], told["mesh"]) == (before, {"data": data_before})
    assert told["elsewhere"] == [{"num_devices": after, "mesh.data": data_after}]
    assert_close(values(files), values(undisturbed))
    for replicate in range(2):
        masks = [tickets.load(f.ticket(1), replicate)[1] for f in (files, undisturbed)]
        assert_trees_equal(*masks)


@pytest.mark.slow
@pytest.mark.parametrize("num_data", [1, 4])
def test_a_study_killed_goes_on_over_the_same_mesh_to_the_last_bit(
    num_data, small, undisturbed, tmp_path
):
    """And where members alone are split, as on one device."""
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    run_on(8, over(small, num_data), tmp_path / "killed", kill_at=5)
    assert "elsewhere" not in run_on(8, over(small, num_data), tmp_path / "killed")
    whole = undisturbed
    if num_data > 1:
        run_on(8, over(small, num_data), tmp_path / "whole")
        whole = Workdir(tmp_path / "whole" / "study")
    killed = Workdir(tmp_path / "killed" / "study")
    assert texts(killed) == texts(whole)
    for replicate in range(2):
        found, expected = (tickets.load(f.ticket(1), replicate) for f in (killed, whole))
        assert_trees_equal(found[:2], expected[:2])


def test_more_devices_than_there_are_are_refused_before_anything_is_written(
    tiny_config, tmp_path
):
    expected = r"mesh\.data: 5 is not allowed; must be one of 1, 2, 3, 4 with"
    with pytest.raises(ConfigError, match=expected):
        runs.run(over(tiny_config, 5), tmp_path / "study")
    assert not (tmp_path / "study").exists()


@pytest.fixture(scope="module")
def built(tiny_config):
    return build(tiny_config)


@pytest.mark.parametrize(
    ("asked", "room", "members", "shares"),
    [
        (None, 130, 4, {1: 3, 2: 2, 4: 1}),  # it fits, and what is idle helps
        (None, 75, 2, {1: 3, 2: 2}),  # it fits over two
        (None, 55, 1, {1: 3}),  # over three, since four do not divide 30
        (None, 45, 1, {1: 3}),  # over none: it is tried, and told
        (2, 130, 2, {1: 2, 2: 2}),
        (1, 130, 4, {1: 1, 2: 1}),
    ],
)
def test_off_the_cpu_a_member_has_the_devices_that_it_needs(
    asked, room, members, shares, built, monkeypatch
):
    """Four devices with so much room each; a member takes 20, and 100 for its batch."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(
        Programs, "bytes_per_member", lambda self, num_data=1: 20 + 100 / num_data
    )
    monkeypatch.setattr(devices, "free_memory_bytes", lambda: 4 * room / 0.8)
    trainer = Trainer(dataclasses.replace(built, config=over(built.config, asked)))
    assert trainer.members_per_call(2) == members
    found = {n: trainer._programs._num_data(n) for n in shares}
    assert found == shares


def test_a_share_of_the_batch_takes_less_memory(built):
    config = dataclasses.replace(built.config, batch_size=1500)
    programs = Programs(dataclasses.replace(built, config=config))
    assert programs.bytes_per_member(3) < programs.bytes_per_member()


@pytest.mark.parametrize(("asked", "members"), [(None, 4), (1, 4), (2, 2), (4, 2)])
def test_on_the_cpu_calls_have_as_many_members_as_keep_devices_busy(
    asked, members, built
):
    config = over(built.config, asked)
    trainer = Trainer(dataclasses.replace(built, config=config))
    assert trainer.members_per_call(2) == members
    assert trainer._programs._num_data(1) == (asked or 1)
