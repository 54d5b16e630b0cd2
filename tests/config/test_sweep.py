"""Sweeps: which studies a file adds, what they are named, and what is refused."""

import re

import pytest
from absl import flags
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ml_collections import config_flags
from support.paths import ROOT

from lth_jax import config as lth_config
from lth_jax.config import ConfigError, StudyConfig, command_line
from lth_jax.config.sweep import read_points

pytestmark = pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")


@pytest.fixture
def points(tmp_path):
    """Points of a sweep's body over the default config, or over another."""

    def points(body, config=None):
        file = tmp_path / "sweep.py"
        file.write_text(f"def sweep(add):\n    {body}\n")
        config = lth_config.default() if config is None else config
        return read_points(file, config.to_dict())

    return points


def test_points_are_the_config_with_their_changes_in_the_order_of_the_file(points):
    config = lth_config.default()
    config.num_levels = 4
    found = points(
        "for s in (2, 1):\n"
        '        add(**{"prune.fraction": 0.3, "model.hidden_sizes": [7, 8], "seed": s})',
        config,
    )
    for seed, point in zip((2, 1), found, strict=True):
        own = config.copy_and_resolve_references()
        own.seed, own.prune.fraction, own.model.hidden_sizes = seed, 0.3, (7, 8)
        assert point.study == lth_config.read(own)
        assert point.name == f"prune.fraction=0.3,model.hidden_sizes=7-8,seed={seed}"
        assert point.changes["model.hidden_sizes"] == (7, 8)


def test_the_packaged_sweep_goes_with_any_config():
    config = lth_config.default()
    config.arms = ("ticket", "rigl")
    found = read_points(ROOT / "configs/sweeps/seeds.py", config.to_dict())
    assert [p.name for p in found] == ["seed=0", "seed=1", "seed=2", "seed=3"]
    assert [p.study.seed for p in found] == [0, 1, 2, 3]
    assert {p.study.arms for p in found} == {("ticket", "rigl")}


def test_names_fit_a_folder_and_stay_when_points_are_added(points):
    first = "add(**{'data.raw_dir': '/a b/../c', 'optimizer.learning_rate': 1e-5})"
    (alone,) = points(first)
    assert alone.name == "data.raw_dir=_a_b_.._c,optimizer.learning_rate=1e-05"
    more = points(f"add(seed=3); add(); {first}")
    assert [p.name for p in more] == ["seed=3", "unchanged", alone.name]
    (long,) = points("add(arms=('ticket', *(f'my_arms:{n}' for n in range(99))))")
    (other,) = points("add(arms=('ticket', *(f'my_arms:{n}' for n in range(98))))")
    assert len(long.name) < 200 and long.name != other.name


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("add(sed=1)", "add(sed=1): sed: no such field; allowed are arms, "),
        ("add(prune=1)", "add(prune=1): prune: a group of fields (at, block_size, "),
        ("add(seed='x')", "add(seed='x'): seed: 'x'; must be of type int"),
        ("add(seed=-1)", "seed: -1 is not allowed; must be from 0 to below 2**32"),
        ("add(seed=1); add(seed=1)", "seed=1 is added twice"),
        ("add(seed=1); add(); add(seed=0)", "seed=0 is the same study as unchanged"),
        (
            "add(arms=('ticket', 'a:b')); add(arms=('ticket', 'a_b'))",
            "arms=ticket-a_b is added twice",
        ),
        ("pass", "its sweep(add) adds no point"),
        ("add(]", "SyntaxError: "),
        ("add(1)", "line 2, TypeError: "),
        ("\n    add(seed=many)", "line 3, NameError: name 'many' is not defined"),
    ],
)
def test_what_is_wrong_with_a_sweep_is_told_with_the_point(body, told, points):
    with pytest.raises(ConfigError, match=re.escape(told)) as error:
        points(body)
    assert str(error.value).startswith("--sweep: ")
    assert "sweep.py" in str(error.value)


def test_a_file_without_a_sweep_is_refused(tmp_path):
    config = lth_config.default().to_dict()
    with pytest.raises(ConfigError, match=r"nowhere\.py'; no such file"):
        read_points(tmp_path / "nowhere.py", config)
    with pytest.raises(ConfigError, match=r"has no function sweep\(add\)"):
        read_points(ROOT / "configs/conv2.py", config)


VALUES = {
    "seed": st.integers(0, 2**32 - 1),
    "optimizer.learning_rate": st.floats(1e-300, 1e300),
    "rewind.preset": st.sampled_from(["rewind", "late_rewind"]),
    "data.raw_dir": st.text(min_size=1).filter(lambda x: "\0" not in x),
    "compact_levels": st.booleans(),
    "model.hidden_sizes": st.lists(st.integers(1, 300), max_size=3).map(tuple),
    "arms": st.lists(st.from_regex(r"\w+:\w+", fullmatch=True), max_size=3).map(tuple),
    "members_per_call": st.integers(1, 9),
}


@given(st.fixed_dictionaries({}, optional=VALUES))
@settings(max_examples=10, suppress_health_check=list(HealthCheck), deadline=None)
def test_flags_set_what_a_point_says(changes):
    typed = [command_line.set_flag(*change) for change in changes.items()]
    argv = command_line.prepare(["lth-jax", "--config=mnist1d", *typed])
    values = flags.FlagValues()
    found = config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    values(argv)
    set_here = config_flags.get_override_values(values["config"])
    assert set_here == changes
    flat = found.value.to_dict()
    for field, value in changes.items():
        part = flat
        for name in field.split("."):
            part = part[name]
        assert part == value


def test_no_flag_sets_none():
    with pytest.raises(ConfigError, match="members_per_call: None; no flag can set it"):
        command_line.set_flag("members_per_call", None)
    assert StudyConfig().members_per_call is None
