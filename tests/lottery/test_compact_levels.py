"""Studies whose levels train smaller nets, beside the same studies that do not."""

import contextlib
import dataclasses
import functools

import jax
import numpy as np
import pytest
from support.runs import Stop, forget_programs, job, run, texts, values
from support.tiers import quick
from support.trees import assert_trees_equal

import lth_jax
from lth_jax import config as lth_config
from lth_jax import data
from lth_jax.lottery.arms import Start
from lth_jax.lottery.begun import compaction
from lth_jax.lottery.programs import Programs
from lth_jax.lottery.study import build
from lth_jax.lottery.tickets import Trained
from lth_jax.shrinking.training import needed_units
from lth_jax.store import checkpoints as checkpoint
from lth_jax.store import records
from lth_jax.store import tickets as ticket_files

# Nets so small have layers of which hardly a weight is left.
pytestmark = pytest.mark.filterwarnings("ignore:the floor of 1 keeps")

CONFIGS = {
    # To so few weights that units and inputs are cut off.
    "lenet": lth_config.StudyConfig(
        arms=("ticket", "reinit"),
        model=lth_config.ModelConfig(hidden_sizes=(12, 8)),
        optimizer=lth_config.OptimizerConfig(learning_rate=1e-2),
        prune=lth_config.PruneConfig(scope="global", fraction=0.85),
    ),
    "batch norm": lth_config.StudyConfig(
        data=lth_config.DataConfig("images", None, 40, "flip_and_crop"),
        model=lth_config.ModelConfig("vgg16"),
        arms=("ticket",),
        optimizer=lth_config.OptimizerConfig("momentum", 0.05),
        prune=lth_config.PruneConfig(scope="global", fraction=0.85),
        rewind=lth_config.RewindConfig("late_rewind", "4"),
    ),
}


def tiny(config, **changes):
    return dataclasses.replace(
        config,
        num_replicates=2,
        num_levels=3,
        num_steps=12,
        batch_size=20,
        eval_every_steps=4,
        checkpoint_every_steps=4,
        **changes,
    )


def compacted(built, **changes):
    config = dataclasses.replace(built.config, compact_levels=True, **changes)
    return dataclasses.replace(built, config=config)


@pytest.fixture(scope="module", params=quick(of=CONFIGS))
def built(request, images):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "batch norm":
            patch.setattr(data, "load", lambda *_: images)
        small = functools.partial(
            lth_jax.models.VGG, convolutions=(2, 1), channels=(8, 8)
        )
        patch.setitem(lth_jax.models.MODELS._own, "vgg16", small)
        return build(tiny(CONFIGS[request.param]))


@pytest.fixture(scope="module")
def plain(built, tmp_path_factory):
    """The study of the large nets."""
    return run(built.config, tmp_path_factory.mktemp("plain") / "study", built)


@contextlib.contextmanager
def smaller_nets():
    """Sees that some train meanwhile."""
    calls, real = [], Programs._compact

    def spy(*arguments):
        calls.append(arguments)
        return real(*arguments)

    forget_programs()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Programs, "_compact", spy)
        yield
    assert calls


@pytest.fixture(scope="module")
def compact(built, tmp_path_factory):
    """The same of the smaller ones."""
    other = compacted(built)
    with smaller_nets():
        return run(other.config, tmp_path_factory.mktemp("compact") / "study", other)


def assert_same_study(found, expected):
    """Counts are equal, and the rest agrees within rounding."""
    found, expected = values(found), values(expected)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if key[-2:] == ("mask", "weights_left"):
            np.testing.assert_array_equal(found[key], value)
        else:
            np.testing.assert_allclose(found[key], value, rtol=2e-3, atol=6e-3)


def share_needed(built, files, level):
    """Of all units of the tickets of a level, those that the smaller nets need."""
    layout = built.network.module.layout()
    found = [
        needed_units(layout, ticket_files.load(files.ticket(level), r)[1])
        for r in range(2)
    ]
    return np.mean([np.concatenate(list(own.values())).mean() for own in found])


def test_the_smaller_nets_study_is_the_large_nets(built, plain, compact):
    assert share_needed(built, plain, 2) < 0.8
    assert_same_study(compact, plain)
    dense = "level_00-ticket.csv"
    assert texts(compact)[dense] == texts(plain)[dense]
    for level in range(3):
        for r in range(2):
            before, after = (
                ticket_files.load(files.ticket(level), r) for files in (plain, compact)
            )
            if level <= 1:  # pruned from the same dense net
                assert_trees_equal(after[:2], before[:2])
            overlap = lth_jax.masks.overlap(before[1], after[1])
            assert overlap > 0.98
    assert [p.name for p in sorted(compact.checkpoints.iterdir())] == [
        p.name for p in sorted(plain.checkpoints.iterdir())
    ]


def test_what_is_put_back_is_zero_where_pruned_and_whole(built, plain, compact):
    def like():
        def one(key):
            params, stats = built.network.init(key)
            state = lth_jax.initial_state(params, built.tx, stats)
            return Trained(state, lth_jax.masks.full(params))

        return jax.vmap(one)(jax.random.split(jax.random.key(0), 2))

    abstract = jax.eval_shape(like)
    found, expected = (
        checkpoint.load(files.level(2), abstract) for files in (compact, plain)
    )
    masked = lth_jax.masks.apply(found.masks, found.state.params)
    assert_trees_equal(jax.device_get(masked), jax.device_get(found.state.params))
    assert set(found.state.step.tolist()) == {12}
    assert lth_jax.masks.overlap(found.masks, expected.masks) > 0.98
    init, _, _ = ticket_files.load(compact.ticket(2), 0)
    moved = jax.tree.map(lambda a, b: (a[0] != b).any(), found.state.params, init)
    assert any(jax.tree.leaves(moved))


def test_interrupted_at_every_boundary_equals_uninterrupted(built, compact, tmp_path):
    interruptions = 0

    def stop():
        nonlocal interruptions
        interruptions += 1
        if interruptions % 2:  # every other, to go on twice from what is saved
            raise Stop

    other = compacted(built)
    while True:
        try:
            files = run(other.config, tmp_path, other, stop)
            break
        except Stop:
            pass
    assert interruptions > 3 * len(built.config.arms)
    assert texts(files) == texts(compact)
    for level in range(3):
        with np.load(files.ticket(level)) as a, np.load(compact.ticket(level)) as b:
            for name in a.files:
                np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("how", quick(of=["vmap", "one by one"]))
def test_however_members_share_the_device(how, built, plain, tmp_path):
    if built.config.model.name != "lenet":
        pytest.skip("the net without normalisation compiles in less time")
    changes = {"member_axis": "vmap"} if how == "vmap" else {"members_per_call": 1}
    other = compacted(built, **changes)
    with smaller_nets():
        files = run(other.config, tmp_path / "study", other)
    assert_same_study(files, plain)


def start_of(built, units):
    """Two members whose first layer keeps the weights of so many units."""

    @jax.jit
    @jax.vmap
    def one(key):
        params, stats = built.network.init(key)
        return lth_jax.initial_state(params, built.tx, stats)

    state = jax.device_get(one(jax.random.split(jax.random.key(0), 2)))
    masks = jax.tree.map(lambda x: np.ones(x.shape, bool), state.params)
    masks["dense_0"]["kernel"][..., units:] = False
    masks["dense_1"]["kernel"][:, units:] = False
    return Start(state, masks)


def test_which_jobs_train_smaller_nets(tiny_config):
    arms = ("ticket", "freeze", "rigl")
    config = dataclasses.replace(tiny_config, compact_levels=True, arms=arms)
    built = build(config)
    ticket, start = job(built, "ticket", 1), start_of(built, 6)
    found = compaction(ticket, start)
    assert found.module.hidden_sizes == (6, 8)
    assert compaction(job(built, "ticket", 0), start) is None
    assert compaction(job(built, "rigl", 1), start) is None
    frozen = start._replace(frozen=start.state.params)
    assert compaction(job(built, "freeze", 1), frozen) is None
    assert compaction(ticket, start_of(built, 11)) is None  # 92% of params
    large = dataclasses.replace(built, config=tiny_config)
    assert compaction(job(large, "ticket", 1), start) is None


@pytest.mark.slow
def test_a_net_with_dropout_trains_too(images, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", lambda *_: images)
    model = lth_config.ModelConfig("conv2", (64,), 0.1, 0.5)
    prune = lth_config.PruneConfig(structure="units", fraction=0.5, conv_fraction=0.5)
    config = tiny(CONFIGS["batch norm"], compact_levels=True)
    config = dataclasses.replace(
        config,
        model=model,
        prune=prune,
        num_levels=2,
        optimizer=lth_config.OptimizerConfig("adam", 0.01),
        num_steps=36,
        eval_every_steps=12,
        checkpoint_every_steps=36,
        rewind=lth_config.RewindConfig(),
    )
    with smaller_nets():
        found = records.read(run(config, tmp_path / "study").records)
    losses = {r.level: r.curves["test", "loss"].values for r in found}
    assert {level: len(loss) for level, loss in losses.items()} == {0: 3, 1: 3}
    assert all(loss[-1] < 0.9 * loss[0] for loss in losses.values())
