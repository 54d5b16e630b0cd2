"""Studies that train together give what each gives alone."""

import contextlib
import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import pytest
from support.runs import forget_programs, run, texts

from lth_jax.config import (
    ConfigError,
    DynamicConfig,
    InitConfig,
    OptimizerConfig,
    PruneConfig,
    RewindConfig,
)
from lth_jax.lottery import executor, programs
from lth_jax.lottery.executor import Executor
from lth_jax.lottery.study import build
from lth_jax.lottery.tickets import Tickets
from lth_jax.run import run_several
from lth_jax.store import claim
from lth_jax.store.workdir import Workdir

UNITS = PruneConfig(structure="units", fraction=0.5)
LATE = RewindConfig("late_rewind", "15")
DECAYING = OptimizerConfig("momentum", 0.03, weight_decay=1e-3, warmup_steps=15)
WARM = OptimizerConfig("adam", 0.01, warmup_steps=7, schedule="cosine")


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
        ({}, {"init": InitConfig("he_uniform")}, 4),
        ({}, {"prune": PruneConfig(criterion="movement", scope="global")}, 4),
        ({}, {"seed": 1}, 6),
        (
            {"optimizer": DECAYING},
            {
                "optimizer": dataclasses.replace(
                    DECAYING, learning_rate=0.2, weight_decay=0.02
                ),
                "init": InitConfig("lecun_normal"),
            },
            4,
        ),
        (  # the optimizer's state is another without
            {"optimizer": DECAYING},
            {"optimizer": dataclasses.replace(DECAYING, weight_decay=0.0)},
            6,
        ),
        (
            {
                "optimizer": WARM,
                "arms": ("ticket", "rigl"),
                "dynamic": DynamicConfig(update_every_steps=10),
            },
            {
                "optimizer": dataclasses.replace(WARM, learning_rate=0.03),
                "arms": ("ticket", "rigl"),
                "dynamic": DynamicConfig(update_every_steps=10),
            },
            3,
        ),
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


def traced(monkeypatch, run):
    """How often what trains is made, which it is for each program that is compiled."""
    forget_programs()
    made = []
    make = programs.make_segment
    with monkeypatch.context() as patched:
        patched.setattr(
            programs, "make_segment", lambda *args: made.append(args) or make(*args)
        )
        run()
    return len(made)


@pytest.mark.slow
def test_many_studies_compile_as_often_as_one(tiny_config, tmp_path, monkeypatch):
    config = dataclasses.replace(
        tiny_config, num_levels=2, arms=("ticket",), members_per_call=4
    )
    one = dataclasses.replace(config, num_replicates=8)
    several = {
        tmp_path / f"{i}": dataclasses.replace(
            config, optimizer=OptimizerConfig(learning_rate=rate), init=InitConfig(name)
        )
        for i, (rate, name) in enumerate(
            itertools.product((1e-2, 3e-3), ("he_normal", "glorot_uniform"))
        )
    }
    of_one = traced(monkeypatch, lambda: run_several({tmp_path / "one": one}))
    assert of_one > 0
    assert traced(monkeypatch, lambda: run_several(several)) == of_one


@pytest.mark.slow
def test_a_study_that_cannot_go_on_leaves_the_others_alone(
    tiny_config, run_alone, tmp_path
):
    good = dataclasses.replace(tiny_config, num_levels=2, arms=("ticket",))
    rate = OptimizerConfig("adam", 1e30)
    bad = dataclasses.replace(good, optimizer=rate)
    criterion = PruneConfig(criterion=f"{__name__}:says_nothing")
    dumb = dataclasses.replace(good, prune=criterion)
    roots = {name: tmp_path / name for name in ("bad", "good", "dumb")}
    configs = dict(zip(roots.values(), (bad, good, dumb), strict=True))
    failed = run_several(configs)
    assert failed.keys() == {roots["bad"], roots["dumb"]}
    assert "no longer finite at step 10" in str(failed[roots["bad"]])
    assert "holds nan" in str(failed[roots["dumb"]])
    assert texts(Workdir(roots["good"])) == texts(run_alone(good))


def test_one_that_does_not_fit_its_data_is_named_before_any_trains(tiny_config, tmp_path):
    wrong = dataclasses.replace(tiny_config, batch_size=10_000)
    configs = {tmp_path / "first": tiny_config, tmp_path / "second": wrong}
    with pytest.raises(ConfigError, match=r"^second: batch_size: 10000 is not allowed"):
        run_several(configs)
    assert not any(tmp_path.iterdir())


def says_nothing(evidence):
    """A criterion that prunes by what is no number."""
    return jax.tree.map(lambda x: x * jnp.nan, evidence.params)
