"""Whole studies of nets with dropout and with batch normalisation, on small images."""

import dataclasses
import functools
import logging

import jax
import numpy as np
import pytest
from support.runs import Stop, forget_programs, job, run, started, texts, values
from support.tiers import quick
from support.trees import assert_trees_equal

import lth_jax
from lth_jax import config as lth_config
from lth_jax import data, devices
from lth_jax.config import ConfigError
from lth_jax.errors import UserError
from lth_jax.lottery.arms import Start
from lth_jax.lottery.begun import begin
from lth_jax.lottery.programs import Programs
from lth_jax.lottery.study import build
from lth_jax.lottery.tickets import Tickets, Trained
from lth_jax.lottery.trainer import Trainer
from lth_jax.store import checkpoints as checkpoint
from lth_jax.store import records
from lth_jax.store import tickets as ticket_files
from lth_jax.store.checkpoints import Newest


def study(tiny_config, **changes):
    return dataclasses.replace(
        tiny_config,
        num_steps=12,
        batch_size=20,
        eval_every_steps=4,
        checkpoint_every_steps=4,
        data=lth_config.DataConfig("images", None, 40, "flip_and_crop"),
        **changes,
    )


@pytest.fixture(scope="module", params=quick(of=["dropout", "batch norm"]))
def config(request, tiny_config):
    """Layer-wise and rewound to the init; or global and rewound to an epoch."""
    if request.param == "dropout":
        return study(
            tiny_config,
            arms=("ticket", "reinit"),
            model=lth_config.ModelConfig("conv2", (8,), 0.1, 0.5),
            prune=lth_config.PruneConfig(conv_fraction=0.3),
        )
    return study(
        tiny_config,
        arms=("ticket", "reinit"),
        model=lth_config.ModelConfig("resnet20", width=0.125),
        optimizer=lth_config.OptimizerConfig("momentum", 0.1, weight_decay=1e-4),
        prune=lth_config.PruneConfig(scope="global", exclude=("shortcut", "output")),
        rewind=lth_config.RewindConfig("late_rewind", "0.5ep"),
    )


@pytest.fixture(scope="module")
def built(config, images):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda *_: images)
        # A third of its blocks: it compiles in a third of the time.
        shallow = functools.partial(lth_jax.models.ResNet, num_blocks=1)
        patch.setitem(lth_jax.models.MODELS._own, "resnet20", shallow)
        return build(config)


@pytest.fixture(scope="module")
def finished(config, built, tmp_path_factory):
    return run(config, tmp_path_factory.mktemp("images") / "finished", built)


def test_levels_prune_exact_counts_of_what_may_be_pruned(config, built, finished):
    k = 4 if config.rewind.preset == "late_rewind" else 0  # half of 160 / 20 steps
    assert built.rewind_step == k
    before = None
    for level in range(3):
        params, kept, _ = ticket_files.load(finished.ticket(level), 1)
        for mask, leaf in zip(*map(jax.tree.leaves, (kept, params)), strict=True):
            assert not np.asarray(leaf)[~np.asarray(mask)].any()
        assert all(
            mask.all()
            for path, mask in lth_jax.masks.named_leaves(kept)
            if not built.prunable(path, mask)
        )
        now = lth_jax.masks.layer_counts(kept)
        if before is not None and config.prune.scope == "layerwise":
            for path, fraction in built.fraction.items():
                expected = {"conv": 0.3, "dens": 0.2, "outp": 0.1}[path[:4]]
                assert fraction == expected
                removed = round(fraction * before[path].kept)
                assert now[path].kept == before[path].kept - removed
        if before is not None and config.prune.scope == "global":
            total, was = (
                sum(c.kept for path, c in counts.items() if may_go(path))
                for counts in (now, before)
            )
            assert total == was - round(0.2 * was)
        before = now
    # Densities are of all weights, those that are never pruned included.
    everyone = {r.level: r for r in records.read(finished.records)}
    whole = lth_jax.masks.total_count(kept)
    assert everyone[2].density == pytest.approx(whole.kept / whole.total)


@pytest.fixture
def quick(config):
    """For what is about members and not about the net: one of the two will do."""
    if config.model.name == "resnet20":
        pytest.skip("the net with dropout compiles in less time")


def may_go(path):
    return not {"shortcut", "output"} & set(path.split("/"))


def test_trained_tickets_are_zero_where_pruned_in_params_and_moments(built, finished):
    like = jax.eval_shape(lambda: start(built))
    trained = checkpoint.load(finished.level(2), like)
    kept = trained.masks
    for mask, leaf in zip(
        *map(jax.tree.leaves, (kept, trained.state.params)), strict=True
    ):
        assert not np.asarray(leaf)[~np.asarray(mask)].any()
    for moments in jax.tree.leaves(
        trained.state.opt_state,
        is_leaf=lambda x: jax.tree.structure(x) == jax.tree.structure(kept),
    ):
        if jax.tree.structure(moments) == jax.tree.structure(kept):
            for mask, leaf in zip(*map(jax.tree.leaves, (kept, moments)), strict=True):
                assert not np.asarray(leaf)[~np.asarray(mask)].any()


def start(built):
    """The two replicates' inits and masks."""

    def one(key):
        params, stats = built.network.init(key)
        state = lth_jax.initial_state(params, built.tx, stats)
        return Trained(state, lth_jax.masks.full(params))

    return jax.vmap(one)(jax.random.split(jax.random.key(0), 2))


def test_batch_statistics_rewind_with_the_weights(config, built, finished):
    if config.model.name != "resnet20":
        pytest.skip("this net has none")
    like = jax.eval_shape(lambda: start(built))
    point = checkpoint.load(finished.checkpoints / "rewind", like.state)
    init = checkpoint.load(finished.init, like.state)
    means = [s["norm"]["mean"] for s in (point.batch_stats, init.batch_stats)]
    assert means[0].any()
    assert not means[1].any()
    assert set(point.step.tolist()) == {4}
    begun = started(Tickets(built, finished), "ticket", 1)
    assert_trees_equal(begun.state.batch_stats, point.batch_stats)
    params, kept, _ = ticket_files.load(finished.ticket(1), 0)
    at_k = jax.tree.map(lambda x: x[0], point.params)
    assert_trees_equal(params, jax.device_get(lth_jax.masks.apply(kept, at_k)))


def test_interrupted_anywhere_equals_uninterrupted(config, built, finished, tmp_path):
    """Dropout, crops, statistics and all; the net that compiles for long is cut less."""
    count, often = 0, 3 if config.model.name == "conv2" else 6

    def stop():
        nonlocal count
        count += 1
        if count % often == 2:
            raise Stop

    for _ in range(40):
        try:
            files = run(config, tmp_path / "cut", built, stop)
            break
        except Stop:
            pass
    assert count >= 8
    assert texts(files) == texts(finished)


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_members_in_parts_give_the_same(config, built, finished, tmp_path):
    one_by_one = dataclasses.replace(config, members_per_call=1)
    parts = run(
        one_by_one, tmp_path / "parts", dataclasses.replace(built, config=one_by_one)
    )
    assert texts(parts) == texts(finished)


@pytest.mark.usefixtures("quick")
def test_too_many_members_for_the_memory_are_halved(
    config, built, finished, tmp_path, monkeypatch, caplog
):
    real = devices.over_members

    def small(fn, num_members, **kwargs):
        if num_members > 1:

            def fails(*_):
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

            return fails
        return real(fn, num_members, **kwargs)

    forget_programs()
    monkeypatch.setattr(devices, "over_members", small)
    with caplog.at_level(logging.WARNING):
        files = run(config, tmp_path / "small", built)
    assert "do not fit the device's memory; going on with 1" in caplog.text
    assert texts(files) == texts(finished)


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_a_member_too_large_alone_is_told(built, tmp_path, monkeypatch):
    def fails(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    forget_programs()
    monkeypatch.setattr(devices, "over_members", lambda *_, **__: fails)
    dense = Start(*start(built))
    begun = begin(job(built, "ticket", 0), dense, None, Newest(tmp_path))
    with pytest.raises(UserError, match="one member alone does not fit"):
        next(Trainer(built).train([begun]))


@pytest.mark.usefixtures("quick")
def test_off_the_cpu_members_are_as_many_as_fit_the_memory(built, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    trainer = Trainer(built)
    size = Programs(built).bytes_per_member()
    params = sum(x.size for x in jax.tree.leaves(start(built).state.params)) // 2
    assert size > 3 * 4 * params  # params, moments, gradients at the least
    monkeypatch.setattr(devices, "free_memory_bytes", lambda: 10 * size)
    assert trainer.members_per_call(2) == 8


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_bfloat16_computes_with_exact_float32_params(config, finished, images, tmp_path):
    half = dataclasses.replace(config, compute_dtype="bfloat16", num_levels=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda *_: images)
        other = build(half)
    params, _ = other.network.init(jax.random.key(0))
    assert {x.dtype for x in jax.tree.leaves(params)} == {np.dtype(np.float32)}
    files = run(half, tmp_path / "half", other)
    found = values(files)
    losses = [v[0, "ticket", 0, "test", "loss"] for v in (found, values(finished))]
    assert (losses[0] != losses[1]).any()
    np.testing.assert_allclose(losses[0][0], losses[1][0], rtol=0.2)
    start_params, kept, _ = ticket_files.load(files.ticket(1), 0)
    for mask, leaf in zip(*map(jax.tree.leaves, (kept, start_params)), strict=True):
        assert leaf.dtype == np.float32
        assert not leaf[~mask].any()


BAD = [
    ({"exclude": ("shortcut", "dense_0")}, "'shortcut' is no layer of conv2"),
    ({"exclude": ("kernel",)}, "'kernel' is no layer of conv2"),
    (
        {"exclude": ("conv_0", "conv_1", "dense_0", "output"), "scope": "global"},
        "must leave a layer",
    ),
]


@pytest.mark.parametrize(("prune", "expected"), BAD)
def test_layers_that_are_not_there_cannot_be_excluded(
    prune, expected, tiny_config, images, monkeypatch
):
    monkeypatch.setattr(data, "load", lambda *_: images)
    bad = study(
        tiny_config,
        model=lth_config.ModelConfig("conv2", (8,), 0.1),
        prune=lth_config.PruneConfig(**prune),
    )
    with pytest.raises(ConfigError, match=f"prune.exclude: .*{expected}"):
        build(bad)


def test_a_net_that_does_not_fit_the_data_is_told(tiny_config, images, monkeypatch):
    conv = lth_config.ModelConfig("conv2")
    with pytest.raises(ConfigError, match=r"'conv2' is not allowed .* \(40, 1\)"):
        build(dataclasses.replace(tiny_config, model=conv))
    augmented = dataclasses.replace(
        tiny_config, data=lth_config.DataConfig(augment="flip_and_crop")
    )
    with pytest.raises(ConfigError, match=r"data\.augment: .* \(40, 1\)"):
        build(augmented)
    odd = images._replace(
        train=images.train._replace(inputs=images.train.inputs[:, :7, :7])
    )
    monkeypatch.setattr(data, "load", lambda *_: odd)
    with pytest.raises(ConfigError, match=r"'conv2' is not allowed .* \(7, 7, 3\)"):
        build(study(tiny_config, model=conv))
