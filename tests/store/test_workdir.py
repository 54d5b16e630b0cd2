import dataclasses
import importlib.metadata
import json
import logging
import os
import shutil
import sys

import jax
import pytest

import lth_jax
from lth_jax.config import Claim, PruneConfig, VerdictConfig
from lth_jax.errors import Exit
from lth_jax.store import claim, environment
from lth_jax.store.claim import WorkdirInUse, check, opened
from lth_jax.store.files import write_sealed
from lth_jax.store.workdir import Workdir, WorkdirError, read_config, read_environment


def contents(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def test_a_new_workdir_says_what_the_study_is_and_where_it_runs(tiny_config, tmp_path):
    with opened(tmp_path / "a" / "b", tiny_config) as workdir:
        config = json.loads(workdir.config.read_text())
        environment = json.loads(workdir.environment.read_text())
    assert config["num_levels"] == 3
    assert config["prune"]["fraction"] == 0.2
    assert environment["backend"] == "cpu"
    assert environment["versions"]["jax"]


def test_the_same_study_goes_on_and_what_it_is_not_may_differ(
    tiny_config, tmp_path, caplog
):
    with opened(tmp_path, tiny_config) as workdir:
        began = read_environment(workdir)
    data = dataclasses.replace(tiny_config.data, raw_dir="/elsewhere")
    log = dataclasses.replace(tiny_config.log, tensorboard=True)
    mesh = dataclasses.replace(tiny_config.mesh, data=2)
    other = dataclasses.replace(tiny_config, data=data, log=log, mesh=mesh)
    for _ in range(2):  # the second time it is no news
        with caplog.at_level(logging.WARNING), opened(tmp_path, other) as workdir:
            pass
    with opened(tmp_path, tiny_config):
        pass
    assert caplog.text.count("mesh.data was None, is 2; what is still to run may") == 2
    assert read_environment(workdir) == {**began, "elsewhere": [{"mesh.data": 2}]}


def test_another_config_is_refused_naming_the_fields(tiny_config, tmp_path):
    with opened(tmp_path, tiny_config):
        pass
    before = contents(tmp_path)
    prune = dataclasses.replace(tiny_config.prune, fraction=0.3)
    other = dataclasses.replace(tiny_config, prune=prune, num_steps=80)
    expected = r"num_steps: 40 there, 80 now; prune.fraction: 0.2 there, 0.3 now"
    with pytest.raises(WorkdirError, match=expected):
        check(Workdir(tmp_path), other)
    with pytest.raises(WorkdirError, match=expected), opened(tmp_path, other):
        pass
    assert contents(tmp_path) == before


def densities(*shares):
    return {"prune": PruneConfig(densities=shares), "num_levels": 1 + len(shares)}


def two_of_four(*shares):
    prune = PruneConfig(structure="n_of_m", n_of_m=shares)
    return {"prune": prune, "num_levels": 1 + len(shares)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"num_levels": 4}),
        ({}, {"arms": ("ticket", "random", "shuffle", "reinit")}),
        ({}, {"num_levels": 9, "arms": ("ticket", "reinit", "shuffle", "random")}),
        (densities(0.5), densities(0.5, 0.2)),
        (two_of_four("2:4"), two_of_four("2:4", "1:4")),
    ],
)
def test_a_study_grows_by_levels_and_arms_and_does_not_shrink(
    before, after, tiny_config, tmp_path, monkeypatch
):
    small, large = (dataclasses.replace(tiny_config, **x) for x in (before, after))
    with opened(tmp_path, small, "odd data") as workdir:
        half_trained = workdir.in_training("reinit", 1)
        half_trained.mkdir()
        began = read_environment(workdir)
    with opened(tmp_path, small, "odd data"):
        pass
    written = contents(tmp_path)
    check(workdir, large)
    with pytest.raises(WorkdirError, match="other data"), opened(tmp_path, large):
        pass
    assert contents(tmp_path) == written and read_config(workdir) == small
    monkeypatch.setattr(sys, "argv", ["lth-jax", "--more"])
    with opened(tmp_path, large, "odd data"):
        # It goes on: an arm at a level is the same in the larger study.
        assert workdir.all_in_training() == [half_trained]
    assert read_config(workdir) == large
    # The command that makes all of it, and where and with what it began.
    assert read_environment(workdir) == {**began, "command": ["lth-jax", "--more"]}
    with pytest.raises(WorkdirError, match=r"another config \((arms|num_levels|prune)"):
        check(workdir, small)


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ({}, {"arms": ("ticket", "shuffle", "reinit")}, "arms"),
        ({}, {"arms": ("ticket", "reinit", "random")}, "arms"),
        ({}, {"num_levels": 4, "num_steps": 80}, "num_steps"),
        ({"num_levels": 2}, densities(0.5), r"prune\.densities"),
        (densities(0.5), densities(0.4, 0.2), r"prune\.densities"),
        (densities(0.5), {"num_levels": 3}, r"prune\.densities"),
    ],
)
def test_what_is_no_extension_is_refused(before, after, field, tiny_config, tmp_path):
    small, other = (dataclasses.replace(tiny_config, **x) for x in (before, after))
    with opened(tmp_path, small) as workdir:
        pass
    with pytest.raises(WorkdirError, match=rf"another config \({field}: "):
        check(workdir, other)


def test_a_folder_of_something_else_is_refused_and_left_alone(tiny_config, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with (
        pytest.raises(WorkdirError, match="holds no study"),
        opened(tmp_path, tiny_config),
    ):
        pass
    assert contents(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/study"])
def test_a_workdir_that_cannot_be_written_is_told(tiny_config, tmp_path, place):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(WorkdirError, match=r"cannot be written|not a folder"),
        opened(tmp_path / place, tiny_config),
    ):
        pass


def test_two_processes_cannot_share_a_workdir(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    told = rf"in use by Slurm job 17, process {os.getpid()} on .*, since .* UTC; wait"
    with (
        opened(tmp_path, tiny_config),
        pytest.raises(WorkdirInUse, match=told) as raised,
        opened(tmp_path, tiny_config),
    ):
        pass
    assert raised.value.exit_code == Exit.TRY_AGAIN == 75


def test_a_study_that_comes_second_does_not_take_over(tiny_config, tmp_path, monkeypatch):
    # Another study claims the folder between our look and our lock.
    other = dataclasses.replace(tiny_config, num_steps=80)
    with opened(tmp_path / "other", other):
        pass
    first = claim.check
    calls = []

    def check_then_lose_the_race(workdir, config):
        if not calls:
            first(workdir, config)
            shutil.copytree(tmp_path / "other", tmp_path / "ours")
        calls.append(workdir)
        if len(calls) > 1:
            first(workdir, config)

    monkeypatch.setattr(claim, "check", check_then_lose_the_race)
    with (
        pytest.raises(WorkdirError, match="num_steps: 80 there, 40 now"),
        opened(tmp_path / "ours", tiny_config),
    ):
        pass
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["num_steps"] == 80


def test_what_a_killed_start_leaves_is_no_hindrance(tiny_config, tmp_path):
    (tmp_path / ".unfinished-config.json").write_text("{")
    (tmp_path / ".lock").write_text("")
    with opened(tmp_path, tiny_config) as workdir:
        assert json.loads(workdir.config.read_text())["num_levels"] == 3


def test_a_changed_environment_is_a_warning(tiny_config, tmp_path, caplog):
    with opened(tmp_path, tiny_config) as workdir:
        environment = json.loads(workdir.environment.read_text())
    environment["versions"]["jax"] = "0.0.1"
    write_sealed(workdir.environment, json.dumps(environment).encode())
    with caplog.at_level(logging.WARNING), opened(tmp_path, tiny_config):
        pass
    assert "versions.jax was 0.0.1" in caplog.text


@pytest.mark.parametrize("first", [None, "odd data"])
@pytest.mark.parametrize("second", [None, "odd data", "other odd data"])
def test_one_study_has_one_data_note(tiny_config, tmp_path, first, second, caplog):
    with opened(tmp_path, tiny_config, first) as workdir:
        assert read_environment(workdir)["data_note"] == first
    before = {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    if first == second:
        with opened(tmp_path, tiny_config, second):
            pass
        assert not caplog.records
    else:
        expected = f"other data \\(data_note: {first!r} there, {second!r} now\\)"
        with (
            pytest.raises(WorkdirError, match=expected),
            opened(tmp_path, tiny_config, second),
        ):
            pass
    assert {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


def test_workdirs_from_before_there_were_data_notes_go_on(tiny_config, tmp_path):
    with opened(tmp_path, tiny_config) as workdir:
        environment = json.loads(workdir.environment.read_text())
    del environment["data_note"]
    write_sealed(workdir.environment, json.dumps(environment).encode())
    with opened(tmp_path, tiny_config):
        assert read_environment(workdir).get("data_note") is None


def test_workdirs_from_before_anything_could_be_watched_go_on(tiny_config, tmp_path):
    with opened(tmp_path, tiny_config) as workdir:
        config = json.loads(workdir.config.read_text())
    del config["log"]
    write_sealed(workdir.config, json.dumps(config).encode())
    with opened(tmp_path, tiny_config):
        pass


def test_a_damaged_environment_is_told(tmp_path):
    workdir = Workdir(tmp_path)
    assert read_environment(workdir) == {}
    write_sealed(workdir.environment, b"{")
    with pytest.raises(WorkdirError, match=r"environment\.json"):
        read_environment(workdir)


@pytest.mark.parametrize("text", ["[]", "null", "3"])
def test_files_that_hold_no_object_are_told(text, tiny_config, tmp_path):
    with opened(tmp_path, tiny_config) as workdir:
        pass
    for path in (workdir.environment, workdir.config):
        write_sealed(path, text.encode())
        with (
            pytest.raises(WorkdirError, match=rf"{path.stem}\.json: .* an object"),
            opened(tmp_path, tiny_config),
        ):
            pass
    with pytest.raises(WorkdirError, match=r"config\.json: .* an object"):
        read_config(workdir)


def test_a_folder_of_studies_says_that_it_has_some(tmp_path):
    with pytest.raises(WorkdirError, match=r"holds no study$"):
        read_config(Workdir(tmp_path))
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").touch()
    with pytest.raises(WorkdirError, match=r"; 2 studies are in it, such as .*/a$"):
        read_config(Workdir(tmp_path))


CLAIMS = (
    Claim(0.211, "speedup", 1.61, 1.11, None, "figure 4a", reference="reinit"),
    Claim(0.135, "accuracy", 0.003, 0.0, 0.006, "figure 4a"),
)


def test_a_config_is_read_back_with_its_claims(tiny_config, tmp_path):
    judged = dataclasses.replace(tiny_config, verdict=VerdictConfig(0.005, CLAIMS))
    for name, config in (("plain", tiny_config), ("judged", judged)):
        with opened(tmp_path / name, config) as workdir:
            pass
        assert read_config(workdir) == config


def test_a_study_goes_on_however_it_is_judged(tiny_config, tmp_path):
    with opened(tmp_path, tiny_config) as workdir:
        written = json.loads(workdir.config.read_text())
    judged = dataclasses.replace(tiny_config, verdict=VerdictConfig(0.005, CLAIMS))
    with opened(tmp_path, judged):
        pass
    del written["verdict"]  # of a study from before there were verdicts
    write_sealed(workdir.config, json.dumps(written).encode())
    assert read_config(workdir) == tiny_config
    with opened(tmp_path, judged):
        pass


def test_a_config_that_cannot_be_read_is_told(tiny_config, tmp_path):
    with pytest.raises(WorkdirError, match="holds no study"):
        read_config(Workdir(tmp_path / "nowhere"))
    with opened(tmp_path, tiny_config) as workdir:
        pass
    text = workdir.config.read_text()
    write_sealed(workdir.config, b"{")
    with pytest.raises(WorkdirError, match=r"config\.json"):
        read_config(workdir)
    text = text.replace('"num_levels": 3', '"num_levels": "three"')
    write_sealed(workdir.config, text.encode())
    expected = r"config\.json: num_levels: 'three'; must be of type int"
    with pytest.raises(WorkdirError, match=expected):
        read_config(workdir)


@pytest.mark.parametrize("name", ["config", "environment"])
def test_a_damaged_note_is_told_and_never_read(tiny_config, tmp_path, name):
    with opened(tmp_path, tiny_config) as workdir:
        pass
    path = getattr(workdir, name)
    path.write_text(path.read_text().replace("1", "2"))
    with (
        pytest.raises(WorkdirError, match=rf"{name}\.json: damaged"),
        opened(tmp_path, tiny_config),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jax_threefry_partitionable", False),
        ("jax_default_prng_impl", "rbg"),
        ("jax_enable_x64", True),
    ],
)
def test_a_study_goes_on_with_its_random_numbers_alone(
    tiny_config, tmp_path, name, value
):
    with opened(tmp_path, tiny_config):
        pass
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    there = getattr(jax.config, name)
    jax.config.update(name, value)
    larger = dataclasses.replace(tiny_config, num_levels=4)
    try:
        for config in (tiny_config, larger):
            with (
                pytest.raises(
                    WorkdirError, match=f"{name}: {there!r} there, {value!r} now"
                ),
                opened(tmp_path, config),
            ):
                pass
    finally:
        jax.config.update(name, there)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_another_precision_is_a_warning(tiny_config, tmp_path, caplog):
    with opened(tmp_path, tiny_config):
        pass
    with (
        caplog.at_level(logging.WARNING),
        jax.default_matmul_precision("float32"),
        opened(tmp_path, tiny_config),
    ):
        pass
    assert "jax_default_matmul_precision was None, is float32" in caplog.text


def test_what_killed_writers_left_goes_when_the_study_goes_on(tiny_config, tmp_path):
    with opened(tmp_path, tiny_config) as workdir:
        pass
    left = workdir.checkpoints / ".unfinished-abc"
    left.mkdir()
    with opened(tmp_path, tiny_config):
        assert not left.exists()


def test_a_note_that_is_gone_is_told_and_made_again(tiny_config, tmp_path):
    with opened(tmp_path, tiny_config) as workdir:
        before = read_environment(workdir)
    workdir.environment.unlink()
    with pytest.raises(WorkdirError, match=r"environment\.json is gone; the study's"):
        read_environment(workdir)
    with opened(tmp_path, tiny_config):
        assert read_environment(workdir) == before


def test_a_checkout_that_is_not_installed_knows_its_version(monkeypatch):
    def version(name, known=importlib.metadata.version):
        if name == "lth_jax":
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert environment.software()["versions"]["lth_jax"] == lth_jax.__version__
