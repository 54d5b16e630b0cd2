"""Shards of a study, made of copies of one; what training gives is in lottery/."""

import json

import numpy as np
import pytest
from support.shards import forget, note, shard

from lth_jax.errors import UserError
from lth_jax.store import records, shards
from lth_jax.store.files import DamagedFile
from lth_jax.store.records import RecordsError
from lth_jax.store.workdir import Workdir


@pytest.fixture
def make(tiny_study, tmp_path):
    """Makes a shard of the tiny study's two replicates, which count from a number."""

    def make(first, **changes):
        name = f"from_{first}{'_'.join(changes)}"
        return shard(tiny_study, tmp_path / name, first, **changes)

    return make


def test_one_workdir_is_the_study_that_it_holds(tiny_study, tiny_config):
    found = shards.read([tiny_study])
    assert found.config == tiny_config
    assert (found.replicates, found.notes) == ([range(2)], [])
    expected = records.read(tiny_study.records)
    assert [run[:4] for run in found.runs] == [run[:4] for run in expected]
    assert found.environment["backend"] == "cpu"
    assert len(found.commands) == 1


def test_shards_are_read_in_order_of_replicates_whatever_their_names(make, tiny_config):
    found = shards.read([make(4), make(0), make(2)])
    assert found.replicates == [range(6)]
    assert (found.config.first_replicate, found.config.num_replicates) == (0, 6)
    groups = records.by_group(found.runs)
    assert len(groups) == shards.num_planned(tiny_config) == 7
    assert all([r.replicate for r in runs] == list(range(6)) for runs in groups.values())
    assert {len(answers.final) for answers in found.correct.values()} == {6}
    assert len(found.correct) == 7
    masks, provenance = found.masks(2)
    assert provenance["level"] == 2
    one = shards.read([make(8)]).masks(2)[0]
    for name, mask in masks.items():
        np.testing.assert_array_equal(mask, np.concatenate([one[name]] * 3))
    single = shards.read([make(6)]).histograms(1)
    for name, histogram in found.histograms(1).items():
        np.testing.assert_array_equal(histogram.end, 3 * single[name].end)
    assert found.notes == []


def test_a_shard_whose_records_are_all_gone_is_not_one_that_has_none_yet(make):
    whole, gone = make(0), make(2)
    for path in gone.records.glob("level_*.csv"):
        path.unlink()
    with pytest.raises(RecordsError, match=r"level_00-ticket\.csv: missing"):
        shards.read([whole, gone])


def test_what_shards_lack_is_noted(make, caplog):
    whole, late, empty = make(0), make(2), make(4)
    forget(late, "level_02-shuffle")
    forget(empty, "level_*")
    found = shards.read([whole, late, empty, make(8)])
    assert found.replicates == [range(4), range(8, 10)]
    assert (found.config.first_replicate, found.config.num_replicates) == (0, 6)
    assert len(records.by_group(found.runs)) == len(found.correct) == 6
    assert {run.replicate for run in found.runs} == {0, 1, 2, 3, 8, 9}
    unfinished, nothing, gap = found.notes
    assert f"{late.root} (6 of 7)" in unfinished and str(whole.root) not in unfinished
    assert nothing.startswith(f"Nothing is finished in {empty.root};")
    assert gap.endswith("that there are: 4 to 7.")
    assert caplog.messages == found.notes


def test_shards_that_ran_elsewhere_are_noted(make):
    here, there = make(0), make(2)
    note(there.environment, device="H100", num_devices=8)
    found = shards.read([here, there])
    (told,) = found.notes
    assert "(device, num_devices)" in told
    known = json.loads(here.environment.read_text())
    assert found.environment["device"] == [known["device"], "H100"]
    assert found.environment["backend"] == "cpu"


def test_shards_of_no_one_study_are_refused_naming_why(make, tmp_path):
    first = make(0)
    drawn = {"settings": {"jax_threefry_partitionable": False}}
    other_data, other_numbers = make(4), make(6)
    note(other_data.environment, data_note="odd")
    note(other_numbers.environment, **drawn)
    for other, message in (
        (make(2, seed=7, num_levels=2), "num_levels: 3 there, 2 here; seed: 0 there, 7"),
        (make(2, verdict={"steps_margin": 0.2}), "verdict.steps_margin: 0.1 there, 0.2"),
        (make(1), "overlap; shards must not (replicates: 1)"),
        (
            first,
            "overlap; shards must not (replicates: 0 to 1)",
        ),
        (other_data, "data_note: None there, 'odd' here"),
        (other_numbers, "jax_threefry_partitionable: True there, False here"),
        (Workdir(tmp_path), "holds no study"),
    ):
        for both in ([first, other], [other, first]):
            with pytest.raises(UserError) as refused:
                shards.read(both)
            assert "\n" not in str(refused.value)
            if both[0] is first:
                assert message in str(refused.value)
    # What they may have of their own.
    log, data, mesh = {"tensorboard": True}, {"raw_dir": "/elsewhere"}, {"data": 2}
    more = make(2, log=log, data=data, mesh=mesh, members_per_call=1)
    assert shards.read([first, more]).replicates == [range(4)]


def test_records_of_other_replicates_than_the_configs_are_refused(make):
    files = make(2)
    note(files.config, first_replicate=4)
    with pytest.raises(UserError, match=r"not of the replicates .* \(4 to 5\)"):
        shards.read([files])


def test_shards_of_which_nothing_is_finished_are_an_error(make):
    both = make(0), make(2)
    for files in both:
        forget(files, "level_*")
    with pytest.raises(UserError, match="no records"):
        shards.read(both)


def test_side_files_of_other_nets_are_damaged(make):
    both = make(0), make(2)
    for path in (both[1].ticket(1), both[1].weight_histograms(1)):
        with np.load(path) as arrays:
            content = {n: x for n, x in arrays.items() if "output" not in n}
        if "provenance" in content:
            said = json.loads(str(content["provenance"]))
            for field in ("shapes", "dtypes"):
                said[field] = {n: x for n, x in said[field].items() if "output" not in n}
            content["provenance"] = np.array(json.dumps(said))
        np.savez(path, **content)
        path.with_name(f"{path.name}.sha256").unlink()
    found = shards.read(both)
    for read in (found.masks, found.histograms):
        with pytest.raises(DamagedFile, match=r"level 1: .* other leaves"):
            read(1)
