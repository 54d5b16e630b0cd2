"""Runs: whole studies of a second or two."""

import numpy as np

from lth_jax.lottery.arms import Start
from lth_jax.lottery.executor import Executor
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.loop import find_tickets, start
from lth_jax.lottery.study import build
from lth_jax.lottery.tickets import Tickets
from lth_jax.store import claim, records


def train(built, files, check_interrupted=lambda: None) -> None:
    """Trains what is not done yet of a study."""
    Executor([Tickets(built, files)], check_interrupted).run()


def job(built, arm, level) -> Job:
    """The job of an arm at a level."""
    return next(j for j in find_tickets(built) if (j.arm, j.level) == (arm, level))


def started(tickets, arm, level) -> Start:
    """Where the members of an arm start at a level."""
    return started_with_goal(tickets, arm, level)[0]


def started_with_goal(tickets, arm, level):
    """And the counts that its masks come to."""
    own = job(tickets.study, arm, level)
    return start(own, tickets.find(own))


class Stop(Exception):
    """Stands for an interruption."""


def run(config, root, built=None, check_interrupted=lambda: None):
    """Runs a study; returns its workdir."""
    built = build(config) if built is None else built
    with claim.opened(root, config, built.data_note) as files:
        train(built, files, check_interrupted)
    return files


def texts(files):
    """The records, and beside them which answers are correct, by file name."""
    return {p.name: p.read_bytes() for p in sorted(files.records.iterdir())}


def values(files):
    """Every record's value, by what it is of."""
    return {
        (r.level, r.arm, r.replicate, *key): curve.values
        for r in records.read(files.records)
        for key, curve in r.curves.items()
    }


def assert_close(found, expected, keys=None):
    """Values agree within what another order of additions does."""
    for key in expected if keys is None else keys:
        np.testing.assert_allclose(found[key], expected[key], rtol=2e-3, atol=3e-3)
