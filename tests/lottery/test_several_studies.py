"""Studies that train together give what each gives alone."""

import contextlib
import dataclasses
import functools

import pytest
from support.runs import run, texts

from lth_jax.config import PruneConfig, RewindConfig
from lth_jax.lottery import executor
from lth_jax.lottery.executor import Executor
from lth_jax.lottery.study import build
from lth_jax.lottery.tickets import Tickets
from lth_jax.store import claim

UNITS = PruneConfig(structure="units", fraction=0.5)
LATE = RewindConfig("late_rewind", "15")


@pytest.fixture(scope="module")
def run_alone(tmp_path_factory):
    """Runs a study, once."""
    return functools.cache(lambda config: run(config, tmp_path_factory.mktemp("alone")))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second", "num_calls"),
    [
        # Level 0, the tickets, and the controls, four in a call.
        ({}, {"prune": PruneConfig(fraction=0.4)}, 4),
        ({}, {"num_replicates": 1}, 6),
        ({}, {"rewind": LATE}, 6),
        (
            {"prune": UNITS, "compact_levels": True},
            {"prune": dataclasses.replace(UNITS, fraction=0.3), "compact_levels": True},
            8,
        ),
    ],
)
def test_studies_together_give_what_each_gives_alone(
    first, second, num_calls, tiny_config, run_alone, tmp_path, monkeypatch
):
    base = dataclasses.replace(tiny_config, num_levels=2, members_per_call=4)
    configs = [dataclasses.replace(base, **own) for own in (first, second)]
    alone = [run_alone(config) for config in configs]
    calls = []
    train = executor.Trainer.train
    monkeypatch.setattr(
        executor.Trainer, "train", lambda *args: calls.append(args[1]) or train(*args)
    )
    with contextlib.ExitStack() as stack:
        together = []
        for i, config in enumerate(configs):
            files = claim.opened(tmp_path / f"together_{i}", config)
            together.append(Tickets(build(config), stack.enter_context(files)))
        Executor(together).run()
    assert len(calls) == num_calls
    for ours, theirs in zip(together, alone, strict=True):
        assert texts(ours.workdir) == texts(theirs)
