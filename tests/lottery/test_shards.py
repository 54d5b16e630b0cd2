"""Shards train what the whole study trains, to the last bit."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
from support.runs import run
from support.trees import assert_trees_equal

from lth_jax import report
from lth_jax.analysis.verdict import as_json
from lth_jax.config import DynamicConfig, PruneConfig, RewindConfig
from lth_jax.report import table
from lth_jax.report.material import gather
from lth_jax.run import Result
from lth_jax.store import claim, shards
from lth_jax.store import tickets as ticket_files
from lth_jax.store.workdir import Workdir, WorkdirError


def part(config, first, number):
    return dataclasses.replace(config, first_replicate=first, num_replicates=number)


@pytest.fixture(scope="module")
def halves(tiny_config, tmp_path_factory):
    """The tiny study's replicates, a shard each."""
    folder = tmp_path_factory.mktemp("halves")
    return [run(part(tiny_config, r, 1), folder / f"shard_{r}") for r in (0, 1)]


def rows(files):
    """The lines of all records, by file."""
    return {p.name: p.read_text().splitlines() for p in files.records.glob("*.csv")}


def test_shards_are_the_whole_study_to_the_last_bit(tiny_study, halves, tmp_path):
    expected, found = rows(tiny_study), [rows(files) for files in halves]
    for name, (head, *lines) in expected.items():
        assert [x for own in found for x in own[name][1:]] == lines
        assert all(own[name][0] == head for own in found)
    for level in range(3):
        for replicate, files in enumerate(halves):
            ours = ticket_files.load(files.ticket(level), replicate)
            theirs = ticket_files.load(tiny_study.ticket(level), replicate)
            assert_trees_equal(ours[:2], theirs[:2])
            assert_trees_equal(Result(files).ticket(level), theirs[:2])
    whole, merged = shards.read([tiny_study]), shards.read(halves[::-1])
    assert (merged.config, merged.notes) == (whole.config, [])
    for key, answers in whole.correct.items():
        assert_trees_equal(merged.correct[key], answers)
    for level in range(3):
        assert_trees_equal(merged.histograms(level), whole.histograms(level))


def test_the_verdict_on_shards_is_the_whole_studys(tiny_study, halves):
    whole, merged = gather(tiny_study, None), gather(tiny_study, None, halves)
    texts = [json.dumps(as_json(material.verdict)) for material in (whole, merged)]
    assert texts[0] == texts[1]
    tables = [
        table.render(m.verdict.summaries, m.verdict.metric) for m in (whole, merged)
    ]
    assert tables[0] == tables[1]
    for ours, theirs in zip(merged.anatomies, whole.anatomies, strict=True):
        assert ours[:3] == theirs[:3]
        np.testing.assert_array_equal(ours.first.kept, theirs.first.kept)


@pytest.mark.slow
def test_all_that_is_reported_of_shards_is_the_whole_studys(tiny_study, halves, tmp_path):
    whole = Workdir(pathlib.Path(shutil.copytree(tiny_study.root, tmp_path / "study")))
    report.write(whole)
    folder = tmp_path / "merged" / "study"
    printed = report.merge(halves, folder, None)
    assert f"page     {folder / 'report.html'}" in printed
    for path in (whole.verdict, whole.table, *whole.figures.glob("*.png")):
        other = folder / path.relative_to(whole.root)
        assert other.read_bytes() == path.read_bytes()
    ours, theirs = (
        (root / "report.html").read_text().partition('<pre id="command">')[0]
        for root in (folder, whole.root)
    )
    assert ours == theirs


def test_a_shard_is_not_taken_for_another(tiny_config, tmp_path):
    files, config = Workdir(tmp_path), dataclasses.asdict(part(tiny_config, 1, 2))
    files.config.write_text(json.dumps(config))
    claim.check(files, part(tiny_config, 1, 2))
    with pytest.raises(WorkdirError, match="first_replicate: 1 there, 0 now"):
        claim.check(files, tiny_config)
    del config["first_replicate"]  # as before there was one
    files.config.write_text(json.dumps(config))
    claim.check(files, tiny_config)
    with pytest.raises(WorkdirError, match="first_replicate: 0 there, 1 now"):
        claim.check(files, part(tiny_config, 1, 2))


STUDIES = {
    "arms that draw": {
        "arms": (
            *("ticket", "reinit", "shuffle", "random", "reshuffle"),
            *("reinit_signs", "reshuffle_signs", "set", "rigl"),
        ),
        "dynamic": DynamicConfig(update_every_steps=10, densities="erk"),
        "rewind": RewindConfig("late_rewind", "15"),
    },
    "criteria": {
        "arms": ("ticket", "snip", "random_erk", "supermask", "edge_popup", "synflow"),
        "prune": PruneConfig(
            criterion="saliency", scope="global", densities=(0.5,), mask_steps=20
        ),
    },
    "units": {"prune": PruneConfig(structure="units", fraction=0.5)},
    "random pruning": {"prune": PruneConfig(criterion="random_uniform")},
}


@pytest.mark.slow
@pytest.mark.parametrize("what", STUDIES)
def test_a_shard_trains_as_the_whole_whatever_draws(what, tiny_config, tmp_path):
    own = {"num_steps": 20, "num_levels": 2} | STUDIES[what]
    config = dataclasses.replace(tiny_config, **own)
    whole = run(part(config, 0, 3), tmp_path / "whole")
    shard = run(part(config, 1, 2), tmp_path / "shard")
    expected, found = rows(whole), rows(shard)
    assert len(found) == len(expected) == 1 + len(config.arms)
    for name, (head, *lines) in expected.items():
        own = [x for x in lines if x.split(",")[1] in ("1", "2")]
        assert found[name] == [head, *own]
    for r in (1, 2):
        for level in range(2):
            both = [ticket_files.load(f.ticket(level), r)[:2] for f in (shard, whole)]
            assert_trees_equal(*both)
