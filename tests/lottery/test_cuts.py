"""Studies whose segments are cut in seconds have the records of studies left whole."""

import dataclasses

import jax
import pytest
from support.runs import Stop, assert_close, run, texts, values
from support.tiers import quick

from lth_jax.config import DynamicConfig, PruneConfig, RewindConfig
from lth_jax.lottery import pace
from lth_jax.lottery.pace import Pace
from lth_jax.lottery.study import build
from lth_jax.lottery.trainer import Trainer
from lth_jax.store.checkpoints import Newest

SHORT = {"num_levels": 2, "num_steps": 40, "eval_every_steps": 20}
SHORT |= {"checkpoint_every_steps": 40, "arms": ("ticket",)}
# Nets so small have layers of which hardly a weight is left.
pytestmark = pytest.mark.filterwarnings("ignore:the floor of 1 keeps")

STUDIES = {
    "static": {},
    "late": {
        "rewind": RewindConfig("late_rewind", "31"),
        "num_steps": 80,
        "eval_test_every_steps": 40,
        "checkpoint_every_steps": 80,
    },
    "dynamic": {
        "arms": ("ticket", "set", "rigl", "gradual"),
        "dynamic": DynamicConfig(update_every_steps=15),
    },
    "vmap": {
        "arms": ("ticket", "rigl"),
        "dynamic": DynamicConfig(update_every_steps=30),
        "member_axis": "vmap",
    },
    "compact": {
        "compact_levels": True,
        "prune": PruneConfig(scope="global", fraction=0.85),
    },
}


@pytest.fixture
def few_seconds(monkeypatch):
    """Each call is as short as can be; gives the steps of each, in its segment."""
    calls, real = [], Trainer._call
    monkeypatch.setattr(pace, "MOST_SECONDS", 1e-9)
    monkeypatch.setattr(
        Trainer, "_call", lambda *args: calls.append(args[-1]) or real(*args)
    )
    return calls


@pytest.mark.parametrize("name", quick("static", of=STUDIES))
def test_cut_and_stopped_at_every_cut_they_are_the_same(
    name, tiny_config, tmp_path, few_seconds
):
    config = dataclasses.replace(tiny_config, **SHORT | STUDIES[name])
    built = build(config)
    whole = texts(run(config, tmp_path / "whole", built))
    del few_seconds[:]
    cut = run(config, tmp_path / "cut", built, cut=Pace.stop)
    assert texts(cut) == whole
    assert max(stop - first for first, stop in few_seconds) <= 10
    assert any(first % 20 for first, _ in few_seconds)  # between evaluations
    count = 0

    def stop():
        nonlocal count
        count += 1
        if count % 3:
            raise Stop

    for _ in range(200):
        try:
            stopped = run(config, tmp_path / "stopped", built, stop, cut=Pace.stop)
            break
        except Stop:
            pass
    assert count > 5
    assert texts(stopped) == whole
    assert not list(stopped.checkpoints.glob("in_training*"))


@pytest.fixture
def saved(monkeypatch):
    """The steps of which checkpoints are written."""
    steps, real = [], Newest.save
    monkeypatch.setattr(
        Newest, "save", lambda *args: steps.append(args[1]) or real(*args)
    )
    return steps


TWO_SEGMENTS = {"num_levels": 1, "num_steps": 80, "checkpoint_every_steps": 40}


@pytest.mark.slow
def test_what_is_due_is_written_after_each_call_and_not_at_the_end(
    tiny_config, tmp_path, few_seconds, saved
):
    config = dataclasses.replace(tiny_config, **SHORT | TWO_SEGMENTS)
    run(config, tmp_path, cut=Pace.stop)
    assert saved == [10, 20, 30, 40, 50, 60, 70]
    assert [stop for _, stop in few_seconds] == [0, 10, 20, 30, 40, 10, 20, 30, 40]


def test_a_checkpoint_waits_until_it_is_due_and_its_time_is_taken(
    tiny_config, tmp_path, few_seconds, saved
):
    """After a checkpoint the next is not due before its time is known."""
    asked = []

    def is_due(self):
        asked.append(self._seconds)
        return len(asked) != 2

    config = dataclasses.replace(tiny_config, **SHORT | TWO_SEGMENTS)
    run(config, tmp_path, cut=Pace.stop, is_due=is_due)
    assert saved == [10, 30, 40, 50, 60, 70]
    assert asked[0] == 0 and asked[1] == asked[2] > 0


def test_members_that_devices_do_not_divide_stay_where_they_are(
    tiny_config, tmp_path, monkeypatch
):
    """Five on four devices take two rounds of three; the sixth is the fifth again."""
    given, real = [], Trainer._call
    monkeypatch.setattr(
        Trainer, "_call", lambda *args: given.append(args[-2]) or real(*args)
    )
    config = dataclasses.replace(tiny_config, **SHORT | {"num_steps": 40})
    config = dataclasses.replace(config, checkpoint_every_steps=20, num_replicates=5)
    five = values(run(config, tmp_path / "five"))
    for leaf in jax.tree.leaves((given[2].state, given[2].masks)):
        assert leaf.shape[0] == 6
        assert not leaf.sharding.is_fully_replicated
        assert {s.data.shape[0] for s in leaf.addressable_shards} == {2}
    two = values(run(dataclasses.replace(config, num_replicates=2), tmp_path / "two"))
    assert {key[2] for key in five} == set(range(5))
    assert_close(five, two, two)
