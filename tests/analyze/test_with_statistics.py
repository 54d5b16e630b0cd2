"""Analyses of a net with batch statistics, rewound to k > 0."""

import dataclasses
import functools
import shutil

import jax
import numpy as np
import pytest
from support.runs import run
from support.trees import assert_trees_equal

import lth_jax
from lth_jax import config as lth_config
from lth_jax import data, report
from lth_jax.analyze.__main__ import main
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.solutions import Solutions
from lth_jax.store import analyses, records
from lth_jax.store.workdir import Workdir

METRICS = {"loss": np.ones(2), "accuracy": np.ones(2)}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def small_net(images):
    """The images, and a ResNet of a third of its blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda *_: images)
        shallow = functools.partial(lth_jax.models.ResNet, num_blocks=1)
        patch.setitem(lth_jax.models.MODELS._own, "resnet20", shallow)
        patch.setattr(report, "write", lambda workdir: None)
        yield


@pytest.fixture(scope="module")
def trained(small_net, tiny_config, tmp_path_factory):
    config = dataclasses.replace(
        tiny_config,
        num_levels=2,
        num_steps=40,
        batch_size=20,
        data=lth_config.DataConfig("images", None, 40, "flip_and_crop"),
        model=lth_config.ModelConfig("resnet20", width=0.125),
        optimizer=lth_config.OptimizerConfig("momentum", 0.1),
        prune=lth_config.PruneConfig(scope="global", exclude=("shortcut", "output")),
        rewind=lth_config.RewindConfig("late_rewind", "10"),
    )
    return run(config, tmp_path_factory.mktemp("trained"))


@pytest.fixture
def study(trained, tmp_path):
    """A copy, which an analysis writes to."""
    shutil.copytree(trained.root, tmp_path / "study")
    return Workdir(tmp_path / "study")


def test_statistics_are_estimated_anew_or_interpolated(study):
    flags = ["--points=5", "--split=train", f"--workdir={study.root}"]
    assert main(["connectivity", *flags]) == 0
    runs = records.read(study.records)
    for level in analyses.read(study.analysis("connectivity"))["copies"]["levels"]:
        anew, along = (level["lines"][kind]["loss"] for kind in ("anew", "interpolated"))
        values = [[x["value"] for x in kind["line"]] for kind in (anew, along)]
        assert np.isfinite(values).all()
        # The mean over batches is not the running average of a few steps.
        assert not np.allclose(*values, rtol=1e-3)
        ended = [
            run.curves["train", "loss"].values[-1]
            for run in runs
            if (run.arm, run.level) == ("ticket", level["level"])
        ]
        assert values[1][0] == pytest.approx(np.mean(ended), rel=1e-5)


def test_transferred_to_itself_it_has_its_own_records(study):
    """Where weights are of step k, and a layer is never pruned."""
    flags = [f"--workdir={study.root}", f"--source={study.root}"]
    assert main(["transfer", *flags, "--align"]) == 0
    own = records.path_of(study.records, "ticket", 1).read_text()
    trained = [path.read_text() for path in study.analyses.glob("nets/*.csv")]
    assert trained == [own] * 6  # each kind, and the same aligned
    found = analyses.read(study.analysis("transfer"))
    assert found["misfits"] == {}
    assert found["aligned"]["before"]["value"] == pytest.approx(1)


def test_the_statistics_of_a_mean_are_estimated_anew(study, monkeypatch):
    """Of copies that are alike the statistics alone are not the ticket's."""
    monkeypatch.setattr(Job, "_of_copy", lambda self, purpose: purpose)
    asked, estimate = [], Solutions.statistics

    def noted(self, job, replicate, params, stats):
        asked.append(
            (job.level, replicate, estimate(self, job, replicate, params, stats))
        )
        return asked[-1][-1]

    monkeypatch.setattr(Solutions, "statistics", noted)
    measured = []
    monkeypatch.setattr(
        Solutions, "metrics", lambda self, split, *net: measured.append(net) or METRICS
    )
    assert main(["swamp", f"--workdir={study.root}", "--copies=2"]) == 0
    assert [x[:2] for x in asked] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for level, first in enumerate((0, 4)):  # the mean, the ticket, two copies
        (params, stats), (own, _), *_ = measured[first : first + 4]
        assert_trees_equal(params, own)
        expected = [x for at, _, x in asked if at == level]
        expected = jax.tree.map(lambda *x: np.concatenate(x), *expected)
        assert_trees_equal(jax.device_get(stats), expected)
