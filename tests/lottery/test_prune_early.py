"""Masks pruned from weights before the end of training."""

import dataclasses
import json
import shutil
import signal

import numpy as np
import pytest
from support.commands import run_module
from support.runs import Stop, job, run, texts

from lth_jax.analysis.outcomes import early_stop
from lth_jax.config import ConfigError, OptimizerConfig, PruneConfig, RewindConfig
from lth_jax.lottery.study import build
from lth_jax.lottery.tickets import Tickets
from lth_jax.masks import named_leaves
from lth_jax.store import records, tickets

SHORT = {"num_steps": 40, "arms": ("ticket",), "prune": PruneConfig(at="15")}
# Nets so small have layers of which hardly a weight is left.
pytestmark = pytest.mark.filterwarnings("ignore:the floor of 1 keeps")

STUDIES = {
    "off the grid": {},
    "share": {"prune": PruneConfig(at="50%", scope="global")},
    "late": {"rewind": RewindConfig("late_rewind", "7")},
    "one shot": {"prune": PruneConfig(at="15", densities=(0.5, 0.1))},
    "moved": {"prune": PruneConfig(at="15", criterion="movement")},
    "compact": {
        "prune": PruneConfig(at="15", scope="global", fraction=0.85),
        "compact_levels": True,
    },
}


def changed(config, **changes):
    return dataclasses.replace(config, **SHORT | changes)


def pruned_at(config, at):
    return dataclasses.replace(config, prune=dataclasses.replace(config.prune, at=at))


def masks(files, level):
    return tickets.load_masks(files.ticket(level))[0]


def assert_same_masks(one, other, levels=(1, 2)):
    for level in levels:
        ours, theirs = masks(one, level), masks(other, level)
        assert ours.keys() == theirs.keys()
        for path, mask in ours.items():
            np.testing.assert_array_equal(mask, theirs[path])


@pytest.fixture(scope="module")
def built(tiny_config):
    """Of two levels, pruned at step 15."""
    return build(changed(tiny_config, num_levels=2))


@pytest.fixture(scope="module")
def finished(built, tmp_path_factory):
    """It, finished."""
    return run(built.config, tmp_path_factory.mktemp("early"), built)


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_masks_are_those_of_nets_that_train_no_further(name, tiny_config, tmp_path):
    config = changed(tiny_config, **STUDIES[name])
    early = run(config, tmp_path / "early")
    step = build(config).prune_step
    assert step == (20 if name == "share" else 15)
    # At a constant rate a net does not know how long it will train.
    short = dataclasses.replace(pruned_at(config, "end"), num_steps=step)
    assert_same_masks(early, run(short, tmp_path / "short"))
    assert all(
        r.curves["train", "accuracy"].steps[-1] == 40 for r in records.read(early.records)
    )


def test_numpy_finds_the_masks_in_the_weights_of_the_step(built, finished, tmp_path):
    ends = pruned_at(built.config, "end")
    short = build(dataclasses.replace(ends, num_levels=1, num_steps=15))
    params = Tickets(short, run(short.config, tmp_path, short)).trained(0).state.params
    found = masks(finished, 1)
    for path, leaf in named_leaves(params):
        if not path.endswith("kernel"):
            continue
        fraction = 0.1 if path.startswith("output") else 0.2
        for replicate, weights in enumerate(np.abs(np.asarray(leaf))):
            pruned = np.sort(weights, axis=None)[: round(fraction * weights.size)]
            np.testing.assert_array_equal(found[path][replicate], weights > pruned[-1])


def test_nets_that_draw_masks_train_with_no_others(tiny_config):
    for at, together in (("early_bird", False), ("early_stop", True)):
        steps = {"eval_every_steps": 5, "arms": ("ticket", "reinit")}
        built = build(pruned_at(changed(tiny_config, **steps), at))
        ticket, reinit = (job(built, arm, 1) for arm in ("ticket", "reinit"))
        assert (ticket.program == reinit.program) is together


def assert_pruned_at(steps, config, files, folder):
    """Each replicate has the masks of a net that trains by itself, to its own step."""
    for replicate, step in enumerate(steps):
        alone = dataclasses.replace(
            pruned_at(config, "end"),
            num_steps=int(step),
            first_replicate=replicate,
            num_replicates=1,
        )
        shorter = run(alone, folder / str(replicate))
        for path, mask in masks(shorter, 1).items():
            np.testing.assert_array_equal(mask[0], masks(files, 1)[path][replicate])


@pytest.mark.slow
def test_at_early_stop_each_replicate_has_its_own_step(tiny_config, tmp_path):
    optimizer = OptimizerConfig(learning_rate=0.05)  # so that some stop before the end
    config = changed(
        tiny_config,
        num_levels=2,
        num_steps=160,
        optimizer=optimizer,
        prune=PruneConfig(at="early_stop"),
    )
    files = run(config, tmp_path / "early")
    steps = [early_stop(r)[0] for r in records.read(files.records) if r.level == 0]
    assert min(steps) < 160
    assert_pruned_at(steps, config, files, tmp_path)


@pytest.mark.slow
def test_at_early_bird_each_replicate_is_pruned_where_its_masks_rest(
    tiny_config, tmp_path
):
    config = pruned_at(
        changed(tiny_config, num_levels=2, num_steps=160, eval_every_steps=10),
        "early_bird",
    )
    files = run(config, tmp_path / "early")
    tag = "mask", "early_bird_distance"
    found = [r.curves[tag] for r in records.read(files.records) if r.level == 0]
    steps = [int(curve.steps[0]) for curve in found]
    assert 50 <= min(steps) < 160
    for step, curve in zip(steps, found, strict=True):
        assert curve.values[0] < 0.1 or step == 160
    assert_pruned_at(steps, config, files, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("at", ["40", "100%"])
def test_at_the_last_step_is_the_default(at, tiny_config, tmp_path):
    config = pruned_at(changed(tiny_config, num_levels=2), at)
    ends = run(pruned_at(config, "end"), tmp_path / "end")
    files = run(config, tmp_path / "last")
    assert texts(files) == texts(ends)
    assert_same_masks(files, ends, levels=(1,))
    assert not list(files.checkpoints.glob("pruned_from*"))


def stopped_at_every_call(built, root):
    """A study that was stopped after each, and went on; how often it was."""
    count = 0

    def stop():
        raise Stop

    while True:
        try:
            return run(built.config, root, built, stop), count
        except Stop:
            count += 1


def test_stopped_at_every_call_it_prunes_the_same(built, finished, tmp_path):
    files, count = stopped_at_every_call(built, tmp_path)
    assert count == 2 * 5  # segments that end at 10, 15, 20 and 40, then the records
    assert texts(files) == texts(finished)
    assert_same_masks(files, finished, levels=(1,))


@pytest.mark.slow
@pytest.mark.parametrize("call", [2, 3, 4])  # that ends at step 15, 20 and 40
def test_killed_after_that_step_it_prunes_the_same(call, built, finished, tmp_path):
    given, root = tmp_path / "given.json", tmp_path / "study"
    given.write_text(json.dumps(dataclasses.asdict(built.config)))
    code, err = run_module(4, "support.runs", given, root, call)
    assert code == -signal.SIGKILL, err
    kept = finished.pruned_from(0).name, finished.level(0).name
    assert [(root / "checkpoints" / name).is_dir() for name in kept] == [True, False]
    files = run(built.config, root, built)
    assert texts(files) == texts(finished)
    assert_same_masks(files, finished, levels=(1,))


@pytest.mark.slow
@pytest.mark.parametrize("at", ["early_stop", "early_bird"])
def test_stopped_at_every_call_each_net_prunes_the_same(at, tiny_config, tmp_path):
    steps = {"num_levels": 2, "eval_every_steps": 8}  # five, which the rule needs
    built = build(pruned_at(changed(tiny_config, **steps), at))
    files, _ = stopped_at_every_call(built, tmp_path / "stopped")
    whole = run(built.config, tmp_path / "whole", built)
    assert texts(files) == texts(whole)
    assert_same_masks(files, whole, levels=(1,))


@pytest.mark.slow
@pytest.mark.parametrize("at", ["15", "early_stop", "early_bird"])
def test_nets_that_are_gone_are_made_again_to_prune_them(at, tiny_config, tmp_path):
    config = pruned_at(changed(tiny_config, eval_every_steps=5), at)
    files = run(config, tmp_path)
    before = texts(files)
    for level in (1, 2):
        shutil.rmtree(files.level(level))
    for level in (0, 1):
        shutil.rmtree(files.pruned_from(level))
    assert texts(run(config, tmp_path)) == before
    assert files.pruned_from(1).is_dir()


@pytest.mark.parametrize(
    ("at", "changes"),
    [
        ("0", {}),
        ("0%", {}),
        ("41", {}),
        ("101%", {}),
        ("nan%", {}),
        ("late", {}),
        ("7", {"rewind": RewindConfig("late_rewind", "7")}),
        ("20", {"rewind": RewindConfig("fine_tune")}),
        ("20", {"prune": PruneConfig(criterion="large_init")}),
        ("early_stop", {"prune": PruneConfig(criterion="random_uniform")}),
        ("early_bird", {"prune": PruneConfig(criterion="movement")}),
        ("early_bird", {"prune": PruneConfig(invert=True)}),
        ("early_bird", {"prune": PruneConfig(densities=(0.5, 0.1))}),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(at, changes, tiny_config):
    config = pruned_at(changed(tiny_config, **changes), at)
    with pytest.raises(ConfigError, match=rf"^prune\.at: '{at}.*must be .+"):
        config.check()
        build(config)
