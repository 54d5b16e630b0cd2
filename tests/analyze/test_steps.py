"""How long nets train before they are pruned, and when they are used."""

import dataclasses

import numpy as np
import pytest
from support.runs import job

from lth_jax.analysis.metric import ACCURACY
from lth_jax.analysis.outcomes import Outcome
from lth_jax.analyze.steps import steps_to_pruning, steps_used
from lth_jax.config import PruneConfig, RewindConfig
from lth_jax.lottery.study import build

ZEROS = np.zeros(2)
REACHED = Outcome(
    metric=ACCURACY,
    arm="ticket",
    level=1,
    density=0.5,
    weights_left=10,
    early_stop_step=np.array([10, 25]),
    early_stop_metric=ZEROS,
    final_metric=ZEROS,
    final_train_metric=ZEROS,
    num_still_improving=0,
    evaluated=(0, 40),
    early_bird_step=np.array([30.0, 35.0]),
)


@pytest.mark.parametrize(
    ("at", "steps"),
    [
        ("end", [40, 40]),
        ("15", [15, 15]),
        ("50%", [20, 20]),
        ("early_stop", [10, 25]),
        ("early_bird", [30, 35]),
    ],
)
def test_nets_train_to_where_they_are_pruned(at, steps, tiny_config):
    changes = {"num_steps": 40, "eval_every_steps": 5, "prune": PruneConfig(at=at)}
    ticket = job(build(dataclasses.replace(tiny_config, **changes)), "ticket", 1)
    assert steps_to_pruning(ticket, REACHED).tolist() == steps


@pytest.mark.parametrize(("until", "steps"), [("end", [33, 33]), ("early_stop", [3, 18])])
def test_a_ticket_does_not_train_the_steps_that_it_is_rewound_to(
    until, steps, tiny_config
):
    rewind = RewindConfig("late_rewind", "7")
    built = build(dataclasses.replace(tiny_config, num_steps=40, rewind=rewind))
    assert steps_used(job(built, "ticket", 1), REACHED, until).tolist() == steps
    assert steps_used(job(built, "ticket", 0), REACHED, "end").tolist() == [40, 40]
