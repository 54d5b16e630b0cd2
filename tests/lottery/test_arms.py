"""Studies with every arm, of a second or two each."""

import dataclasses

import jax
import numpy as np
import pytest
from support.runs import Stop, run, started, started_with_goal, texts, values
from support.tiers import quick

from lth_jax import masks
from lth_jax.config import DynamicConfig
from lth_jax.lottery.arms import ARMS
from lth_jax.lottery.study import build
from lth_jax.lottery.tickets import Tickets
from lth_jax.pruning import layer_densities
from lth_jax.store import records


@pytest.fixture(scope="module")
def every_arm(tiny_config):
    """A call has the groups of four arms, so those that freeze have company."""
    return dataclasses.replace(
        tiny_config,
        arms=tuple(ARMS),
        num_levels=2,
        members_per_call=8,
        dynamic=DynamicConfig(update_every_steps=10),
    )


@pytest.fixture(scope="module")
def whole(every_arm, tmp_path_factory):
    return run(every_arm, tmp_path_factory.mktemp("whole"))


@pytest.mark.slow
def test_every_arm_trains_and_none_begins_as_another(every_arm, whole):
    assert {arm for _, arm, *_ in values(whole)} == ARMS.keys()
    tickets = Tickets(build(every_arm), whole)
    begin = set()
    for arm in ARMS:
        state, *others = started(tickets, arm, 1)
        leaves = jax.tree.leaves((state.params, others))
        begin.add(b"".join(np.asarray(x).tobytes() for x in leaves))
    assert len(begin) == len(ARMS)
    kept = {
        (r.level, r.replicate, r.curves["mask", "weights_left"].values[0])
        for r in records.read(whole.records)
    }
    assert len(kept) == 2 * 2  # at a level all arms keep as many


@pytest.mark.slow
def test_every_arm_goes_on_bit_for_bit(every_arm, whole, tmp_path):
    boundaries = iter(range(100))

    def stop():
        if next(boundaries) in (6, 9):  # within two calls of controls
            raise Stop

    for _ in range(2):
        with pytest.raises(Stop):
            run(every_arm, tmp_path, check_interrupted=stop)
    assert texts(run(every_arm, tmp_path, check_interrupted=stop)) == texts(whole)


@pytest.mark.slow
def test_an_arm_that_freezes_changes_no_other(tiny_config, tiny_study, tmp_path):
    arms = (*tiny_config.arms, "freeze")
    config = dataclasses.replace(tiny_config, num_levels=2, arms=arms, members_per_call=8)
    without = values(tiny_study)
    found = values(run(config, tmp_path))
    assert {key for key in found if key[1] != "freeze"} == {
        key for key in without if key[0] < 2
    }
    for key, value in without.items():
        if key[0] == 2:
            continue
        if key[1] == "ticket":  # whose calls are the same
            np.testing.assert_array_equal(found[key], value)
        else:
            np.testing.assert_allclose(found[key], value, rtol=2e-3, atol=3e-3)


@pytest.mark.slow
def test_a_net_whose_pruned_weights_freeze_begins_as_the_dense_net(tiny_config, tmp_path):
    optimizer = dataclasses.replace(tiny_config.optimizer, learning_rate=1e-9)
    arms = ("ticket", "freeze")
    config = dataclasses.replace(tiny_config, optimizer=optimizer, arms=arms)
    found = values(run(config, tmp_path))
    for split in ("train", "validation", "test"):
        for replicate in range(2):
            dense, frozen, pruned = (
                found[level, arm, replicate, split, "loss"][-1]
                for level, arm in ((0, "ticket"), (2, "freeze"), (2, "ticket"))
            )
            np.testing.assert_allclose(frozen, dense, rtol=1e-5)
            assert abs(pruned - dense) > 1e-3
    for replicate in range(2):
        dense, frozen, pruned = (
            found[level, arm, replicate, "test", "start_accuracy"]
            for level, arm in ((0, "ticket"), (2, "freeze"), (2, "ticket"))
        )
        assert dense == frozen != pruned


def test_what_moved_away_is_asked_of_the_dense_net_at_every_level(
    tiny_config, tiny_study
):
    config = dataclasses.replace(tiny_config, arms=("ticket", "freeze_moved_away"))
    tickets = Tickets(build(config), tiny_study)
    kept = tickets.trained(2).masks
    found = started(tickets, "freeze_moved_away", 2).frozen
    init, dense = tickets.initial.params, tickets.trained(0).state.params
    for name in ("dense_0", "output"):
        was, became, mask, constants = (
            np.asarray(tree[name]["kernel"]) for tree in (init, dense, kept, found)
        )
        stays = ~mask & (np.abs(became) >= np.abs(was))
        assert 0 < stays.sum() < (~mask).sum()
        np.testing.assert_array_equal(constants, np.where(stays, was, 0))


@pytest.mark.slow
@pytest.mark.parametrize("share", quick("erk", of=layer_densities.LAYER_DENSITIES))
def test_random_connections_share_out_the_tickets_total(share, tiny_config, tiny_study):
    arms = ("ticket", "set", "gradual")
    dynamic = DynamicConfig(densities=share)
    config = dataclasses.replace(tiny_config, arms=arms, dynamic=dynamic)
    tickets = Tickets(build(config), tiny_study)
    starts, goal = started_with_goal(tickets, "set", 2)
    shapes = {"dense_0": (40, 12), "dense_1": (12, 8), "output": (8, 10)}
    expected = layer_densities.counts(
        layer_densities.LAYER_DENSITIES[share],
        {f"{name}/kernel": shape for name, shape in shapes.items()},
        masks.total_count(jax.tree.map(lambda m: m[0], tickets.trained(2).masks)).kept,
    )
    for name in shapes:
        kept = np.asarray(starts.masks[name]["kernel"])
        counts = [expected[f"{name}/kernel"]] * 2
        assert kept.reshape(2, -1).sum(1).tolist() == counts
        assert goal[name]["kernel"].tolist() == counts
        weights = np.asarray(starts.state.params[name]["kernel"])
        np.testing.assert_array_equal(weights != 0, kept)
    _, of_tickets = started_with_goal(tickets, "gradual", 2)
    of_tickets = of_tickets["dense_0"]["kernel"]
    assert of_tickets[0] != expected["dense_0/kernel"]


@pytest.mark.slow
def test_a_study_whose_connections_are_shared_out_keeps_as_many(tiny_config, tmp_path):
    config = dataclasses.replace(
        tiny_config,
        arms=("ticket", "rigl", "gradual"),
        num_levels=2,
        num_steps=20,
        dynamic=DynamicConfig(update_every_steps=5, densities="erk"),
    )
    runs = records.read(run(config, tmp_path).records)
    kept = {r.curves["mask", "weights_left"].values[0] for r in runs if r.level == 1}
    assert len(kept) == 1
