"""Flags as a user types them, as `config_flags` takes them."""

import ast
import pathlib
import sys

import pytest
from absl import flags
from ml_collections import config_flags

from lth_jax import config as lth_config
from lth_jax.config import ConfigError, command_line

ROOT = pathlib.Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")
NAMES = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))


@pytest.fixture
def study(monkeypatch):
    """Reads the study of a command line."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def study(*arguments):
        argv = command_line.prepare(["lth-jax", *arguments])
        values = flags.FlagValues()
        found = config_flags.DEFINE_config_file(
            "config", flag_values=values, sys_argv=argv
        )
        values(argv)
        return lth_config.read(found.value)

    return study


@pytest.mark.parametrize("name", NAMES)
def test_a_packaged_config_is_found_by_its_name_from_anywhere(
    name, study, tmp_path, monkeypatch
):
    by_path = study(f"--config={ROOT}/configs/{name}.py:smoke")
    monkeypatch.chdir(tmp_path)
    assert (
        study(f"--config={name}:smoke") == by_path == study("--config", f"{name}:smoke")
    )


def test_a_file_goes_before_a_packaged_config(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "sibling_7.py").write_text("levels = 7\n")
    (tmp_path / "mnist1d").write_text("raise RuntimeError('found')")
    with pytest.raises(RuntimeError, match="found"):
        study("--config=mnist1d")
    (tmp_path / "below" / "mine.py").write_text(
        "import sibling_7\n"
        "from lth_jax import config\n"
        "def get_config():\n"
        "    mine = config.default()\n"
        "    mine.num_levels = sibling_7.levels\n"
        "    return mine\n"
    )
    assert study("--config=below/mine.py").num_levels == 7
    # After all else: a config hides no package of its name.
    assert sys.path[-2:] == [str(tmp_path), str(tmp_path / "below")]


@pytest.mark.parametrize(
    "typed",
    [
        ["--config.arms=ticket,continue,my_arms:half_rewound"],
        ["--config.arms", "ticket, continue, my_arms:half_rewound"],
        ["--config.arms=('ticket','continue','my_arms:half_rewound')"],
        ["--config.arms='ticket','continue','my_arms:half_rewound'"],
        [
            f"--config.arms={arm}"
            for arm in ("ticket", "continue", "my_arms:half_rewound")
        ],
    ],
)
def test_names_need_no_quotes(typed, study):
    found = study("--config=mnist1d", *typed)
    assert found.arms == ("ticket", "continue", "my_arms:half_rewound")


def test_other_fields_are_read_as_they_are(study):
    found = study(
        "--config=mnist1d",
        "--config.prune.n_of_m=2:4,1:4",
        "--config.prune.structure=n_of_m",
        "--config.num_levels=3",
        "--config.prune.exclude=",
        "--config.optimizer.schedule=step_drops",
        "--config.optimizer.drop_steps=10,20",
        "--config.compact_levels",
        "--config.data.name=my_data:load",
        "--config.eval_test_every_steps=500",
    )
    assert found.prune.n_of_m == ("2:4", "1:4")
    assert found.prune.exclude == ()
    assert found.optimizer.drop_steps == (10, 20)
    assert found.compact_levels
    assert found.data.name == "my_data:load"
    assert found.eval_test_every_steps == 500


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("num_levels=three", "num_levels: 'three'; must be a whole number"),
        ("num_levels=3.5", "num_levels: '3.5'; must be a whole number"),
        ("members_per_call=two", "members_per_call: 'two'; must be a whole number"),
        ("prune.fraction=a fifth", "prune.fraction: 'a fifth'; must be a number"),
        ("compact_levels=maybe", "compact_levels: 'maybe'; must be true or false"),
    ],
)
def test_a_value_that_cannot_be_read_is_told_with_what_is_allowed(flag, told):
    with pytest.raises(ConfigError, match=f"^{told}$"):
        command_line.prepare([f"--config.{flag}"])


@pytest.mark.parametrize("arguments", [["--config"], ["--config", ""], ["--config=no"]])
def test_a_config_that_is_not_there_is_told_with_those_there_are(arguments):
    with pytest.raises(
        ConfigError, match=r"^--config: '.*'; no such file, nor .* vgg19$"
    ):
        command_line.prepare(arguments)


def test_the_listing_has_every_config_and_variant(study):
    lines = command_line.listing().splitlines()
    assert [line.split()[0] for line in lines[::2]] == NAMES
    for name, heads, variants in zip(NAMES, lines[::2], lines[1::2], strict=True):
        source = (ROOT / "configs" / f"{name}.py").read_text()
        assert heads.endswith(ast.get_docstring(ast.parse(source)).splitlines()[0])
        names = [each.partition(":")[2] for each in variants.split(", ")]
        with pytest.raises(ConfigError) as error:
            lth_config.variants("nope", names)
        with pytest.raises(ConfigError) as own:
            study(f"--config={name}:nope")
        assert str(own.value) == str(error.value)
