"""The order of a study's jobs, and what each is pruned from."""

import dataclasses

import pytest

from lth_jax.lottery.loading import load
from lth_jax.lottery.loop import find_tickets
from lth_jax.lottery.study import build


@pytest.fixture(scope="module")
def built(tiny_config):
    return build(tiny_config)


def jobs(built):
    return list(find_tickets(built))


def test_a_level_follows_the_one_it_is_pruned_from(built):
    found = jobs(built)
    assert [(job.arm, job.level) for job in found] == [
        ("ticket", 0),
        ("ticket", 1),
        ("reinit", 1),
        ("shuffle", 1),
        ("ticket", 2),
        ("reinit", 2),
        ("shuffle", 2),
    ]
    for i, job in enumerate(found):
        assert job.dense is found[0]
        if job.level:
            assert job.parent.is_ticket
            assert job.parent.level == job.level - 1
            assert job.parent in found[:i]


def test_in_one_shot_every_level_is_pruned_from_the_dense_nets(built):
    prune = dataclasses.replace(built.config.prune, densities=(0.5, 0.1))
    config = dataclasses.replace(built.config, prune=prune)
    dense, *others = jobs(dataclasses.replace(built, config=config))
    assert {job.parent for job in others} == {dense}


def test_a_job_knows_its_steps_and_where_test_is_due(built):
    config = dataclasses.replace(
        built.config, arms=("ticket", "rigl"), eval_test_every_steps=20
    )
    late = dataclasses.replace(built, config=config, rewind_step=13)
    dense, ticket, rigl, *_ = jobs(late)
    assert dense.eval_steps.tolist() == [10, 13, 20, 30, 40]
    assert dense.test_due.tolist() == [False, False, True, False, True]
    assert (ticket.first_step, ticket.last_step) == (13, 40)
    assert ticket.num_member_steps == 2 * 27
    assert rigl.first_step == 0  # whose masks change starts from the init
    until = dense.until(13)
    assert [s.stop_step for s in until.segments] == [10, 13]
    assert not until.is_whole
    assert dense.program == dataclasses.replace(dense).program != ticket.program


@pytest.fixture(scope="module")
def program(built):
    """The program of the study with changes in a group of its config."""
    loaded = load(built.config)

    def program(group, **changes):
        own = dataclasses.replace(getattr(built.config, group), **changes)
        config = dataclasses.replace(built.config, **{group: own}, num_levels=1)
        return build(config, loaded).program

    return program


def test_studies_share_a_program_where_numbers_alone_differ(program):
    mine = program("optimizer")
    assert program("optimizer", learning_rate=0.5) == mine
    assert program("init", name="he_uniform") == mine
    assert program("prune", criterion="movement", fraction=0.5) == mine
    assert program("optimizer", name="sgd") != mine
    assert program("model", hidden_sizes=(9,)) != mine


def test_whether_weights_decay_is_part_of_a_program_and_how_much_is_not(program):
    decaying = program("optimizer", name="adamw", weight_decay=0.1)
    assert decaying != program("optimizer", name="adamw")
    assert decaying == program("optimizer", name="adamw", weight_decay=0.2)


def test_rates_are_part_of_a_program_with_an_optimizer_of_ones_own(program):
    own = program("optimizer", name="optax:lion")
    assert own != program("optimizer", name="optax:lion", learning_rate=0.5)
