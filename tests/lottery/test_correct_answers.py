"""Which test examples members have correct, as a study notes it beside its records."""

import dataclasses

import jax
import numpy as np
import pytest
from support.runs import run
from support.tiers import quick

import lth_jax
from lth_jax.config import DynamicConfig, OptimizerConfig
from lth_jax.lottery.study import build
from lth_jax.lottery.tickets import Tickets
from lth_jax.store import correct, records


def check(files, exact=True):
    """That answers are there of all members, and are as many as the records say."""
    runs = records.read(files.records)
    found = correct.read(files.records, runs)
    assert found.keys() == {(r.arm, r.level) for r in runs}
    for r in runs:
        mine = found[r.arm, r.level]
        noted = r.curves["test", "early_stop_accuracy"].values[0]
        assert mine.early_stop[r.replicate].mean() == pytest.approx(noted, abs=1e-6)
        last = r.curves["test", "accuracy"].values[-1]
        tolerance = 1e-6 if exact else 3e-3  # other programs may round a tie otherwise
        assert mine.final[r.replicate].mean() == pytest.approx(last, abs=tolerance)
    return found


def test_answers_are_those_of_the_trained_nets(tiny_study, tiny_config):
    found, built = check(tiny_study), build(tiny_config)
    inputs, labels = built.splits.test
    for level in (0, 1, 2):
        # Loads the nets that the next level is pruned from.
        trained = Tickets(built, tiny_study).trained(level)
        for replicate in range(2):
            net = jax.tree.map(lambda x, r=replicate: x[r], trained.state)
            logits, _ = built.network.apply(net.params, net.batch_stats, inputs, False)
            expected = np.asarray(logits.argmax(-1) == labels)
            mine = found["ticket", level].final[replicate]
            np.testing.assert_array_equal(mine, expected)


CHANGES = {
    "masks that change": {
        "arms": ("ticket", "set", "gradual"),
        "num_levels": 2,
        "dynamic": DynamicConfig(update_every_steps=10),
    },
    "smaller nets": {"compact_levels": True},
    "one member a call": {
        "members_per_call": 1,
        "num_levels": 2,
        "optimizer": OptimizerConfig(learning_rate=0.3),  # early stops before the end
    },
}


@pytest.mark.parametrize("what", quick("smaller nets", of=CHANGES))
def test_answers_are_noted_however_nets_are_trained(what, tiny_config, tmp_path):
    config = dataclasses.replace(tiny_config, **CHANGES[what])
    found = check(run(config, tmp_path), exact=what != "smaller nets")
    if what == "one member a call":
        assert any((x.early_stop != x.final).any() for x in found.values())


@pytest.mark.slow
def test_no_answer_is_correct_where_targets_are_numbers(tiny_config, tmp_path):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(400, 12)).astype(np.float32)
    targets = inputs.sum(1)
    config = dataclasses.replace(
        tiny_config,
        num_levels=2,
        arms=("ticket",),
        loss=dataclasses.replace(tiny_config.loss, name="mean_squared_error"),
        data=dataclasses.replace(tiny_config.data, num_validation=50),
    )
    result = lth_jax.run_study(
        config,
        data=(inputs[:300], targets[:300], inputs[300:], targets[300:]),
        workdir=tmp_path,
    )
    assert not list(result.workdir.records.glob("*.npz"))
    assert not result.verdict.summaries[0].early_stop_two_way.has_interval
