"""Nets that a study did not keep, trained again as it trained them."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest
from support.runs import Asked, Stop, job, run
from support.tiers import quick
from support.trees import assert_trees_equal

from lth_jax import config as lth_config
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.solutions import Solutions
from lth_jax.lottery.study import build
from lth_jax.lottery.tickets import Tickets
from lth_jax.lottery.trainer import Trainer
from lth_jax.store import records
from lth_jax.store.workdir import Workdir


@pytest.fixture(
    scope="module", params=["init", pytest.param("late", marks=pytest.mark.slow)]
)
def tickets(request, tiny_config, tiny_study, tmp_path_factory):
    """Of the tiny study, or of one that is rewound to step 20."""
    root = tmp_path_factory.mktemp(request.param) / "study"
    if request.param == "init":
        shutil.copytree(tiny_study.root, root)
        return Tickets(build(tiny_config), Workdir(root))
    rewind = lth_config.RewindConfig("late_rewind", "20")
    config = dataclasses.replace(tiny_config, num_levels=2, rewind=rewind)
    built = build(config)
    return Tickets(built, run(config, root, built))


@pytest.mark.slow
def test_an_arm_comes_to_the_nets_that_its_records_are_of(tickets):
    (found,) = Solutions(tickets).of([job(tickets.study, "reinit", 1)])
    metrics = Solutions(tickets).metrics("test", found.params, found.batch_stats)
    runs = records.read(tickets.workdir.records)
    ended = [
        run.curves["test", "loss"].values[-1]
        for run in sorted(runs, key=lambda run: run.replicate)
        if (run.arm, run.level) == ("reinit", 1)
    ]
    np.testing.assert_array_equal(np.float32(ended), metrics["loss"])


@pytest.mark.parametrize("level", quick(0, of=[0, 1]))
def test_a_copy_differs_in_its_order_alone(tickets, level, monkeypatch):
    """In its own study's order it comes to the study's own net, bit for bit."""
    own = job(tickets.study, "ticket", level)
    copy = dataclasses.replace(own, copy=1)
    first, other = Solutions(tickets).of([own, copy])
    assert not np.array_equal(*map(leaves, (first, other)))
    assert_trees_equal(first.masks, other.masks)
    # Of the dense net too, from the rewind point.
    assert copy.first_step == tickets.study.rewind_step
    monkeypatch.setattr(Job, "_of_copy", lambda self, purpose: purpose)
    (same,) = Solutions(tickets).of([dataclasses.replace(own, copy=2)])
    assert_trees_equal(same, first)


@pytest.mark.slow
def test_a_copy_that_was_asked_to_stop_goes_on(tickets):
    copy = dataclasses.replace(job(tickets.study, "ticket", 1), copy=3)
    nets, calls = tickets.workdir.analyses / "nets", []

    def stop_at_the_second_call():
        calls.append(None)
        if len(calls) == 2:
            raise Stop

    with pytest.raises(Stop):
        Solutions(tickets, Asked(stop_at_the_second_call)).of([copy])
    assert list(nets.glob("in_training*"))
    (found,) = Solutions(tickets).of([copy])
    assert not list(nets.glob("in_training*"))
    shutil.rmtree(nets / "level_01-ticket-copy_3")
    assert_trees_equal(Solutions(tickets).of([copy])[0], found)


@pytest.mark.slow
def test_tickets_that_are_damaged_are_made_again(tickets, caplog):
    own = job(tickets.study, "ticket", 1)
    (before,) = Solutions(tickets).of([own])
    shutil.rmtree(tickets.workdir.level(1))
    fresh = Tickets(tickets.study, tickets.workdir)  # has nothing in memory
    assert_trees_equal(Solutions(fresh).of([own])[0], before)


def test_nothing_trains_twice(tickets, monkeypatch):
    copy = dataclasses.replace(job(tickets.study, "ticket", 1), copy=1)
    before = Solutions(tickets).of([copy])
    monkeypatch.setattr(Trainer, "train", None)
    assert_trees_equal(Solutions(tickets).of([copy]), before)


def leaves(solution):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(solution.params)])
