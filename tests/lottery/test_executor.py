"""The contract, on whole studies of a second or two."""

import contextlib
import dataclasses
import gc
import logging
import shutil
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.damage import flip_a_byte
from support.runs import Stop, assert_close, forget_programs, run, texts, values
from support.tiers import quick
from support.trees import assert_trees_equal

import lth_jax
from lth_jax import config as lth_config
from lth_jax import data, report
from lth_jax.analysis.outcomes import early_stop
from lth_jax.devices.halving import Halving
from lth_jax.lottery import loop
from lth_jax.lottery.executor import Executor
from lth_jax.lottery.results import is_finished
from lth_jax.lottery.study import build
from lth_jax.lottery.tickets import Tickets
from lth_jax.lottery.trainer import TrainingDiverged
from lth_jax.store import claim, records, workdir
from lth_jax.store import tickets as ticket_files
from lth_jax.training import TrainState, sampling


@pytest.fixture(scope="module")
def built(tiny_config):
    return build(tiny_config)


@pytest.fixture
def finished(tiny_study):
    """An uninterrupted study."""
    return tiny_study


def test_the_note_on_the_data_reaches_the_report(tiny_config, tmp_path, monkeypatch):
    source = data.load("mnist1d")._replace(note="these data are odd")
    monkeypatch.setattr(data, "load", lambda *_: source)
    config = dataclasses.replace(tiny_config, num_levels=1)
    files = run(config, tmp_path / "study")
    printed = report.write(files)
    assert "these data are odd" in printed.splitlines()
    assert files.table.read_text().splitlines()[-1] == "these data are odd"


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished study, to be damaged."""
    shutil.copytree(finished.root, tmp_path / "copy")
    return workdir.Workdir(tmp_path / "copy")


def initial_params(built, replicate):
    key = lth_jax.keys.member_key(0, replicate, "ticket", 0, "init")
    return jax.jit(built.network.init)(key)[0]


def test_records_hold_every_evaluation_of_every_member(finished, tiny_config):
    runs = records.read(finished.records)
    members = {(r.level, r.arm, r.replicate) for r in runs}
    expected = {(0, "ticket", r) for r in range(2)} | {
        (level, arm, r)
        for level in (1, 2)
        for arm in ("ticket", "reinit", "shuffle")
        for r in range(2)
    }
    assert members == expected
    for r in runs:
        for split in ("validation", "test"):
            for metric in ("loss", "accuracy"):
                assert r.curves[split, metric].steps.tolist() == [10, 20, 30, 40]
        assert r.curves["train", "accuracy"].steps.tolist() == [40]
        total = 40 * 12 + 12 * 8 + 8 * 10
        assert r.curves["mask", "weights_left"].values[0] / total == r.density
    assert is_finished(tiny_config, finished)


def test_levels_start_from_the_masked_init_and_masks_only_shrink(finished, built):
    previous = None
    for level in range(3):
        for replicate in range(2):
            params, kept, provenance = ticket_files.load(
                finished.ticket(level), replicate
            )
            init = initial_params(built, replicate)
            assert_trees_equal(params, lth_jax.masks.apply(kept, init))
            assert provenance["level"] == level
            if replicate == 0:
                if previous is not None:
                    assert lth_jax.masks.is_subset(kept, previous)
                    before = lth_jax.masks.layer_counts(previous)
                    now = lth_jax.masks.layer_counts(kept)
                    for name, fraction in built.fraction.items():
                        removed = round(fraction * before[name].kept)
                        assert now[name].kept == before[name].kept - removed
                previous = kept


def test_replicates_and_arms_are_told_apart(finished):
    curves = values(finished)
    losses = [v for k, v in curves.items() if k[3:] == ("validation", "loss")]
    assert len({tuple(v) for v in losses}) == len(losses)


def test_all_levels_compile_once(tiny_config, built, tmp_path, caplog):
    forget_programs()
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        run(tiny_config, tmp_path, built)
    compiled = [m for m in caplog.messages if m.startswith("Compiling jit(segment)")]
    # Of five calls and ten segments: once for tickets (two members), once for controls
    # (four, to keep four devices busy).
    assert len(compiled) == 2


def test_interrupted_at_every_boundary_equals_uninterrupted(
    tiny_config, built, finished, tmp_path
):
    interruptions = 0

    def stop():
        raise Stop

    while True:
        try:
            files = run(tiny_config, tmp_path, built, stop)
            break
        except Stop:
            interruptions += 1
    assert interruptions == 5 * 3  # five calls, two segments each and then their records
    assert texts(files) == texts(finished)
    assert not list(files.checkpoints.glob("in_training*"))
    for level in range(3):
        with np.load(files.ticket(level)) as a, np.load(finished.ticket(level)) as b:
            for name in a.files:
                np.testing.assert_array_equal(a[name], b[name])


def test_a_study_goes_on_where_calls_hold_other_members(
    tiny_config, built, finished, tmp_path
):
    """As on a machine with another number of devices."""
    alone = dataclasses.replace(tiny_config, members_per_call=2)
    boundaries = iter(range(100))

    def stop():
        if next(boundaries) == 6:  # in the first control's call
            raise Stop

    with pytest.raises(Stop):
        run(alone, tmp_path, dataclasses.replace(built, config=alone), stop)
    assert [p.name for p in tmp_path.glob("checkpoints/in_training*")] == [
        "in_training_01-reinit"
    ]
    files = run(tiny_config, tmp_path, built)
    assert texts(files) == texts(finished)
    assert is_finished(tiny_config, files)


@pytest.mark.slow
def test_a_study_and_its_data_are_freed_when_it_is_done(tiny_config, tmp_path):
    """So that a process can run many; caches of compiled functions kept them."""
    config = dataclasses.replace(tiny_config, num_levels=2, num_steps=20)
    study = build(config)
    left = [weakref.ref(study), weakref.ref(study.splits.train.inputs)]
    run(config, tmp_path, study)
    del study
    forget_programs()  # which tests alone keep
    gc.collect()
    assert [ref() for ref in left] == [None, None]


@pytest.mark.parametrize(
    "victim",
    [
        "records/level_01-reinit.csv",
        "records/level_01-ticket.csv",
        "tickets/level_02.npz",
        "weights/level_00.npz",
        "checkpoints/init",
        "checkpoints/level_01",
    ],
)
def test_what_a_finished_study_lost_is_made_again(
    tiny_config, built, finished, copy, caplog, victim
):
    path = copy.root / victim
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.write_bytes(path.read_bytes()[:-3])
    assert not is_finished(tiny_config, copy)
    with caplog.at_level(logging.WARNING):
        run(tiny_config, copy.root, built)
    assert f"{path} is gone or damaged" in caplog.text
    assert is_finished(tiny_config, copy)
    for pattern in ("records/*", "tickets/*", "weights/*"):
        ours, theirs = (
            {path.name: path.read_bytes() for path in files.root.glob(pattern)}
            for files in (copy, finished)
        )
        assert ours == theirs


def test_a_rewind_point_that_is_gone_is_made_again(tiny_config, tmp_path):
    rewind = dataclasses.replace(tiny_config.rewind, preset="late_rewind", step="10")
    config = dataclasses.replace(
        tiny_config, rewind=rewind, num_levels=2, num_steps=20, arms=("ticket",)
    )
    files = run(config, tmp_path)
    before = texts(files)
    shutil.rmtree(files.rewind)
    assert not is_finished(config, files)
    assert texts(run(config, tmp_path)) == before
    assert is_finished(config, files)


def test_a_finished_study_is_left_as_it_is(tiny_config, built, finished):
    before = {p: p.stat().st_mtime_ns for p in finished.records.iterdir()}
    run(tiny_config, finished.root, built)
    assert {p: p.stat().st_mtime_ns for p in finished.records.iterdir()} == before


@pytest.mark.parametrize("victim", ["init", "level_00", "level_01"])
def test_a_damaged_checkpoint_is_made_again(
    victim, tiny_config, built, finished, copy, caplog
):
    for path in copy.records.glob("level_02-*"):
        path.unlink()
    shutil.rmtree(copy.level(2))
    if victim == "level_00":  # needed only if what follows from it is gone
        shutil.rmtree(copy.level(1))
        copy.records.joinpath("level_01-ticket.csv").unlink()
    flip_a_byte(copy.checkpoints / victim)
    with caplog.at_level(logging.WARNING):
        run(tiny_config, copy.root, built)
    assert f"{victim}: damaged in" in caplog.text
    assert texts(copy) == texts(finished)


def test_a_control_has_the_tickets_mask_though_its_level_is_damaged(
    tiny_config, tmp_path
):
    """Also where the criterion draws."""
    prune = dataclasses.replace(tiny_config.prune, criterion="random_uniform")
    config = dataclasses.replace(
        tiny_config, prune=prune, num_levels=2, num_steps=20, arms=("ticket", "reinit")
    )
    files = run(config, tmp_path)
    before = texts(files)
    files.records.joinpath("level_01-reinit.csv").unlink()
    flip_a_byte(files.level(1))
    assert texts(run(config, tmp_path)) == before


@pytest.mark.slow
def test_a_damaged_segment_goes_back_to_the_one_before(
    tiny_config, built, finished, copy, caplog
):
    config = dataclasses.replace(tiny_config, checkpoint_every_steps=10)
    root = copy.root.with_name("segments")
    boundaries = iter(range(100))

    def stop():
        if next(boundaries) == 2:
            raise Stop

    with pytest.raises(Stop):
        run(config, root, check_interrupted=stop)
    steps = sorted(root.glob("checkpoints/in_training_00-ticket/step_*"))
    assert [p.name for p in steps] == ["step_000000020", "step_000000030"]
    flip_a_byte(steps[-1])
    with caplog.at_level(logging.WARNING):
        files = run(config, root)
    assert "step_000000030: damaged in" in caplog.text
    assert_close(values(files), values(finished))
    whole = run(config, root.with_name("whole"))
    assert texts(files) == texts(whole)


def test_what_trained_under_other_masks_trains_again(
    tiny_config, built, tmp_path, monkeypatch, caplog
):
    """As where scores are not the same to the last bit the second time."""
    config = dataclasses.replace(tiny_config, num_levels=2, arms=("ticket",))
    boundaries = iter(range(100))

    def stop():
        if next(boundaries) == 3:  # within level 1
            raise Stop

    with pytest.raises(Stop):
        run(config, tmp_path, built, stop)
    real = loop.prune
    monkeypatch.setattr(
        loop, "prune", lambda *args: jax.tree.map(lambda m: m[::-1], real(*args))
    )
    with caplog.at_level(logging.WARNING):
        files = run(config, tmp_path, built)
    assert "ticket, level 1: masks came out otherwise" in caplog.text
    tickets = Tickets(built, files)
    for replicate in range(2):
        _, kept, _ = ticket_files.load(files.ticket(1), replicate)
        params, own = jax.tree.map(
            lambda x, r=replicate: x[r],
            (tickets.trained(1).state.params, tickets.trained(1).masks),
        )
        assert_trees_equal(kept, own)
        np.testing.assert_array_equal(
            params["dense_0"]["kernel"] != 0, kept["dense_0"]["kernel"]
        )


@pytest.mark.slow
def test_late_rewinding_goes_back_to_step_k_bit_for_bit(tiny_config, tmp_path, caplog):
    late = lth_config.RewindConfig("late_rewind", "15")
    arms = ("ticket", "reinit")
    config = dataclasses.replace(tiny_config, rewind=late, num_levels=2, arms=arms)
    built = build(config)
    files = run(config, tmp_path / "whole", built)

    steps = jax.jit(lth_jax.make_steps(built.network.apply, built.tx))
    params = initial_params(built, 1)
    key = lth_jax.keys.member_key(0, 1, "ticket", 0, "order")
    batches = sampling.batch_indices(key, 0, 15, batch_size=30, num_examples=3000)
    state = lth_jax.initial_state(params, built.tx)
    dense = lth_jax.masks.full(params)
    for part in (batches[:10], batches[10:]):  # as the segments are cut
        state, _ = steps(state, dense, part, built.splits.train)
    start, kept, _ = ticket_files.load(files.ticket(1), 1)
    expected = lth_jax.masks.apply(kept, state.params)
    for a, b in zip(jax.tree.leaves(start), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    found = {(r.level, r.arm): r for r in records.read(files.records)}
    steps = {key: r.curves["test", "loss"].steps.tolist() for key, r in found.items()}
    assert steps[0, "ticket"] == [10, 15, 20, 30, 40]
    assert all(steps[1, arm] == [20, 30, 40] for arm in config.arms)

    # Interrupted after the rewind point, which is then damaged: made again.
    def stop():
        if (tmp_path / "cut" / "checkpoints" / "rewind").exists():
            raise Stop

    with pytest.raises(Stop):
        run(config, tmp_path / "cut", built, stop)
    flip_a_byte(tmp_path / "cut" / "checkpoints" / "rewind")
    with caplog.at_level(logging.WARNING):
        cut = run(config, tmp_path / "cut", built)
    assert "rewind: damaged in" in caplog.text
    assert texts(cut) == texts(files)


@pytest.mark.slow
def test_a_replicate_alone_gives_what_it_gives_among_others(
    tiny_config, finished, tmp_path
):
    alone = run(dataclasses.replace(tiny_config, num_replicates=1), tmp_path)
    assert_close(values(finished), values(alone), keys=values(alone))


@pytest.mark.parametrize("how", quick(of=["map", "vmap"]))
def test_controls_of_several_levels_train_together(how, tiny_config, finished, tmp_path):
    config = dataclasses.replace(tiny_config, members_per_call=8, member_axis=how)
    files = run(config, tmp_path)
    assert texts(files).keys() == texts(finished).keys()
    assert_close(values(files), values(finished))


@pytest.mark.slow
def test_replicates_that_do_not_fit_a_call_train_in_unequal_parts(tiny_config, tmp_path):
    config = dataclasses.replace(
        tiny_config,
        num_replicates=3,
        num_levels=2,
        arms=("ticket", "set"),
        member_axis="map",
        dynamic=lth_config.DynamicConfig(update_every_steps=5),
    )
    whole = run(config, tmp_path / "whole")
    parts = run(dataclasses.replace(config, members_per_call=2), tmp_path / "parts")
    assert texts(parts) == texts(whole)


@pytest.mark.slow
def test_jobs_of_several_studies_train_in_one_call(tiny_config, tmp_path, caplog):
    """Those whose programs agree: another fraction, other arms, more levels."""
    prune = dataclasses.replace(tiny_config.prune, fraction=0.5)
    configs = [
        dataclasses.replace(tiny_config, num_levels=2, members_per_call=8),
        dataclasses.replace(
            tiny_config,
            prune=prune,
            arms=("ticket", "random"),
            members_per_call=8,
            num_replicates=2,
        ),
    ]
    alone = [run(c, tmp_path / f"alone_{i}") for i, c in enumerate(configs)]
    with contextlib.ExitStack() as stack:
        tickets = []
        for i, config in enumerate(configs):
            built = build(config)
            opened = claim.opened(tmp_path / f"together_{i}", config, built.data_note)
            tickets.append(Tickets(built, stack.enter_context(opened)))
        sizes = []
        real = Halving.run

        def spy(self, make, *members, **others):
            if isinstance(members[0], TrainState) and len(members) > 2:
                sizes.append(len(members[0].step))
            return real(self, make, *members, **others)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Halving, "run", spy)
            Executor(tickets).run()
    assert sizes[:2] == [4, 4]  # both studies' dense nets, in two segments
    for own, expected in zip(tickets, alone, strict=True):
        assert texts(own.workdir) == texts(expected)


def test_test_data_choose_nothing(tiny_config, built, finished, tmp_path):
    wrong = built.splits.test._replace(labels=(built.splits.test.labels + 1) % 10)
    other = dataclasses.replace(built, splits=built.splits._replace(test=wrong))
    files = run(tiny_config, tmp_path, other)
    found, expected = values(files), values(finished)
    for key in expected:
        if key[3] != "test":
            np.testing.assert_array_equal(found[key], expected[key])
    stops = [
        [early_stop(r)[0] for r in records.read(f.records)] for f in (files, finished)
    ]
    assert stops[0] == stops[1]


@pytest.mark.slow
@pytest.mark.parametrize("scope", quick("global", of=["layerwise", "global"]))
def test_one_shot_prunes_the_dense_net_to_each_density(scope, tiny_config, tmp_path):
    prune = dataclasses.replace(tiny_config.prune, densities=(0.5, 0.1), scope=scope)
    config = dataclasses.replace(tiny_config, prune=prune, arms=("ticket", "random"))
    files = run(config, tmp_path)
    _, half, _ = ticket_files.load(files.ticket(1), 0)
    _, tenth, _ = ticket_files.load(files.ticket(2), 0)
    total = lth_jax.masks.total_count(half)
    assert total.kept == round(0.5 * total.total)
    # Both from the dense net's weights: the larger ones are kept in both.
    assert lth_jax.masks.is_subset(tenth, half)
    densities = {r.level: r.density for r in records.read(files.records)}
    assert densities[2] == pytest.approx(0.1, abs=0.01)


def test_random_pruning_and_fine_tuning_run(tiny_config, tmp_path):
    prune = dataclasses.replace(tiny_config.prune, criterion="random_uniform")
    arms = ("ticket", "continue")
    config = dataclasses.replace(tiny_config, prune=prune, arms=arms)
    files = run(config, tmp_path)
    found = values(files)
    # Fine-tuning starts from trained weights: far below the ticket's loss at first.
    for level in (1, 2):
        kept_on = found[level, "continue", 0, "train", "batch_loss"][0]
        assert kept_on < found[level, "ticket", 0, "train", "batch_loss"][0] - 0.1


def test_a_loss_that_diverges_is_told_and_what_was_done_stays(
    tiny_config, built, finished, copy
):
    for path in copy.records.glob("level_02-*"):
        path.unlink()
    before = texts(copy)
    # From level 2 on the net is broken: as if its loss had become NaN there.
    apply = built.network.apply

    def broken(params, batch_stats, inputs, train, key):
        logits, batch_stats = apply(params, batch_stats, inputs, train, key)
        sparse = jnp.sum(params["dense_0"]["kernel"] == 0) > 100
        return jnp.where(sparse, jnp.nan, logits), batch_stats

    network = built.network._replace(apply=broken)
    forget_programs()  # nothing else tells it from the whole one
    expected = r"arm ticket, level 2 is not finite before its first step; the net as"
    with pytest.raises(TrainingDiverged, match=expected):
        run(tiny_config, copy.root, dataclasses.replace(built, network=network))
    assert texts(copy) == before
    forget_programs()
    files = run(tiny_config, copy.root, built)
    assert texts(files) == texts(finished)


@pytest.mark.slow
def test_a_learning_rate_that_is_too_high_diverges(tiny_config, tmp_path):
    optimizer = dataclasses.replace(tiny_config.optimizer, name="sgd", learning_rate=1e30)
    config = dataclasses.replace(tiny_config, optimizer=optimizer)
    with pytest.raises(TrainingDiverged, match=r"level 0 .* step 10.*learning_rate"):
        run(config, tmp_path)
    assert not list((tmp_path / "records").iterdir())


def test_a_batch_larger_than_the_data_is_refused(tiny_config):
    config = dataclasses.replace(tiny_config, batch_size=3001)
    with pytest.raises(lth_jax.config.ConfigError, match=r"batch_size: 3001 .* 3000"):
        build(config)


@pytest.fixture(scope="module")
def dynamic_config(tiny_config):
    """Late rewinding, which is nothing to the arms whose masks change."""
    return dataclasses.replace(
        tiny_config,
        arms=("ticket", "set", "rigl", "gradual"),
        rewind=lth_config.RewindConfig("late_rewind", "15"),
        dynamic=lth_config.DynamicConfig(update_every_steps=5),
    )


@pytest.mark.slow
def test_masks_that_change_end_at_the_tickets_counts(dynamic_config, tmp_path, caplog):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        files = run(dynamic_config, whole)
    compiled = [m for m in caplog.messages if m.startswith("Compiling jit(segment)")]
    # Once for each arm whose masks change; three times for tickets, whose segments have
    # one interval of 10 and of 5 steps, and two of 10.
    assert len(compiled) == 3 + 3
    found = {(r.level, r.arm, r.replicate): r for r in records.read(files.records)}
    for level in (1, 2):
        for replicate in range(2):
            ticket = found[level, "ticket", replicate]
            for arm, sparse_from in (("set", 0), ("rigl", 0), ("gradual", 31)):
                own = found[level, arm, replicate]
                assert own.density == ticket.density
                left = own.curves["mask", "weights_left"]
                assert left.steps.tolist() == [sparse_from]
                assert left.values == ticket.curves["mask", "weights_left"].values
                steps = own.curves["validation", "loss"].steps
                assert steps.tolist() == [10, 20, 30, 40]  # the whole budget
    losses = [tuple(r.curves["validation", "loss"].values) for r in found.values()]
    assert len(set(losses)) == len(losses)

    def stop():
        raise Stop

    interruptions = 0
    built = build(dynamic_config)
    while True:  # at every boundary
        try:
            files = run(dynamic_config, cut, built, check_interrupted=stop)
            break
        except Stop:
            interruptions += 1
    # Four segments of the dense nets, two of each level's tickets and of each other arm;
    # and after each one's records.
    assert interruptions == 5 + 2 * 3 + 3 * 3
    assert texts(files) == texts(workdir.Workdir(whole))
    assert not list(files.checkpoints.glob("in_training*"))
