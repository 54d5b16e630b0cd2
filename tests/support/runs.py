"""Runs: whole studies of a second or two.

`python -m support.runs config.json folder 4` runs one that is killed where it could stop
the fourth time; 0 is never.
"""

import hashlib
import json
import os
import pathlib
import signal
import sys
from unittest import mock

import jax
import numpy as np

from lth_jax import config as lth_config
from lth_jax.lottery.arms import Start
from lth_jax.lottery.executor import Executor
from lth_jax.lottery.interruption import Interrupted as Stop
from lth_jax.lottery.interruption import Interruption
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.loop import find_tickets, start
from lth_jax.lottery.pace import Pace
from lth_jax.lottery.programs import Programs
from lth_jax.lottery.spacing import Spacing
from lth_jax.lottery.study import build
from lth_jax.lottery.tickets import Tickets
from lth_jax.store import claim, records


class Asked(Interruption):
    """Asks to stop where a function raises `Stop`."""

    def __init__(self, check):
        self._check = check

    def is_told(self):
        try:
            self._check()
        except Stop:
            return True
        return False


def whole_segments(self, first, segment):
    """In place of `Pace.stop`: no segment is cut."""
    return segment.total_steps


def always(self):
    """In place of `Spacing.is_due`: a checkpoint is written after each call."""
    return True


_programs: dict = {}


def programs_of(study):
    """The programs of a study, in place of `Programs`: studies of one kind share them.

    Each run would make them anew, and tests take more time to trace than to train.
    """
    data = hashlib.sha256()
    for leaf in jax.tree.leaves(study.splits):
        data.update(np.asarray(leaf))
    key = study.program, study.network.module, data.digest()
    return _programs.setdefault(key, Programs(study))


def forget_programs():
    """Makes what runs next compile anew."""
    _programs.clear()


def train(
    built, files, check_interrupted=None, cut=whole_segments, is_due=always
) -> None:
    """Trains what is not done yet of a study.

    `check_interrupted` is called after each compiled call, and at the end of a job.
    """
    due = mock.patch.object(Spacing, "is_due", is_due)
    with mock.patch.object(Pace, "stop", cut), due:
        asked = check_interrupted and Asked(check_interrupted)
        Executor([Tickets(built, files)], asked).run()


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


def run(config, root, built=None, *how, **more):
    """Runs a study, as `train` says; returns its workdir."""
    built = build(config) if built is None else built
    with claim.opened(root, config, built.data_note) as files:
        train(built, files, *how, **more)
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


def _kill_at(number):
    """What kills this process when it is called that often."""
    left = [number]

    def check():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return check


if __name__ == "__main__":
    config = lth_config.parse(json.loads(pathlib.Path(sys.argv[1]).read_text()))
    run(config, pathlib.Path(sys.argv[2]), check_interrupted=_kill_at(int(sys.argv[3])))
