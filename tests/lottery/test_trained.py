"""Trained tickets, read back one at a time."""

import jax
import numpy as np
import pytest
from support.trees import assert_trees_equal

from lth_jax import masks as masks_lib
from lth_jax.lottery import trained
from lth_jax.lottery.study import build
from lth_jax.store import tickets as ticket_files
from lth_jax.store.workdir import Workdir


@pytest.fixture(scope="module")
def built(tiny_config):
    return build(tiny_config)


def test_each_replicate_has_its_own_ticket_of_each_level(built, tiny_study):
    for level in range(3):
        for replicate in range(2):
            state, masks = trained.load(built, tiny_study, level, replicate)
            start, kept, _ = ticket_files.load(tiny_study.ticket(level), replicate)
            assert_trees_equal(masks, kept)
            assert_trees_equal(masks_lib.apply(masks, state.params), state.params)
            moved = jax.tree.map(lambda a, b: np.any(a != b), state.params, start)
            assert all(jax.tree.leaves(moved))
            assert int(state.step) == built.config.num_steps


def test_what_is_not_there_is_named(built, tiny_study, tmp_path):
    for level, replicate, words in (
        (3, 0, "level: 3 is not allowed; must be from 0 to 2"),
        (0, 2, "replicate: 2 is not allowed; must be from 0 to 1"),
    ):
        with pytest.raises(trained.TrainedError, match=words):
            trained.load(built, tiny_study, level, replicate)
    with pytest.raises(trained.TrainedError, match="level: 0 is not finished in"):
        trained.load(built, Workdir(tmp_path), 0, 0)
