import ast
import pathlib
import runpy

import pytest
from conftest import as_dict

from lth_jax import config as lth_config
from lth_jax.config import ConfigError

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.py"))


def changed(field, value):
    values = as_dict(lth_config.StudyConfig())
    group = values
    *parents, name = field.split(".")
    for parent in parents:
        group = group[parent]
    group[name] = value
    return values


def test_the_default_reads_back_as_itself():
    assert lth_config.read(lth_config.default()) == lth_config.StudyConfig()


@pytest.mark.parametrize("variant", ["", "smoke"])
@pytest.mark.parametrize("name", NAMES)
def test_every_config_file_is_valid(name, variant):
    get_config = runpy.run_path(str(CONFIGS / f"{name}.py"))["get_config"]
    study = lth_config.read(get_config(variant))
    # All levels compile once: every segment has the same length.
    assert study.num_steps % study.checkpoint_every_steps == 0
    if variant:
        assert study.num_steps <= 1_000
    with pytest.raises(ConfigError, match="'nope'; must be one of smoke"):
        get_config("nope")


@pytest.mark.parametrize("name", NAMES)
def test_every_config_file_says_what_to_expect(name):
    head = ast.get_docstring(ast.parse((CONFIGS / f"{name}.py").read_text()))
    for word in ("Frankle & Carbin 2019", "Command:", "Expected:", "Time:", "Variant:"):
        assert word in head
    assert "__" not in head


def test_lenet_is_the_papers_set_up():
    study = lth_config.read(runpy.run_path(str(CONFIGS / "lenet.py"))["get_config"]())
    assert (study.num_steps, study.batch_size, study.eval_every_steps) == (
        50_000,
        60,
        100,
    )
    assert (study.num_levels, study.num_replicates) == (21, 5)
    assert study.data == lth_config.DataConfig("mnist", None, 5_000)
    assert study.model.hidden_sizes == (300, 100)
    assert (study.optimizer.name, study.optimizer.learning_rate) == ("adam", 1.2e-3)
    assert (study.prune.fraction, study.prune.output_fraction) == (0.2, 0.1)


BAD = [
    ("num_levels", 0, "at least 1"),
    ("num_replicates", 0, "at least 1"),
    ("num_steps", 0, "at least 1"),
    ("batch_size", -1, "at least 1"),
    ("batch_size", 60.0, "of type int"),
    ("seed", -1, "from 0 to below"),
    ("seed", 2**32, "from 0 to below"),
    ("eval_every_steps", 0, "from 1 to num_steps"),
    ("eval_every_steps", 60_000, "from 1 to num_steps"),
    ("checkpoint_every_steps", 150, "multiple of eval_every_steps"),
    ("arms", ("ticket", "nope"), "one of ticket, reinit"),
    ("arms", ("reinit",), "'ticket' in it"),
    ("arms", ("ticket", "reinit", "reinit"), "repetitions"),
    ("arms", "ticket", "a tuple"),
    ("member_axis", "pmap", "one of auto, vmap, map"),
    ("members_per_call", 0, "at least 1"),
    ("data.num_validation", 0, "at least 1"),
    ("model.name", "nope", "one of lenet"),
    ("model.hidden_sizes", (300, 0), "at least 1"),
    ("init.name", "nope", "one of glorot_normal"),
    ("optimizer.name", "lion", "one of sgd, momentum, adam, adamw"),
    ("optimizer.learning_rate", 0.0, "above 0"),
    ("optimizer.learning_rate", float("nan"), "above 0"),
    ("optimizer.learning_rate", "fast", "of type float"),
    ("optimizer.momentum", 1.0, r"inside \[0, 1\)"),
    ("optimizer.schedule", "linear", "one of constant"),
    ("optimizer.weight_decay", 0.1, "use 'adamw'"),
    ("optimizer.drop_steps", (0,), "at least 1"),
    ("optimizer.drop_steps", (10,), "for 'step_drops', and for it alone"),
    ("prune.densities", (0.2, 0.5), "decreasing"),
    ("prune.fraction", 0.0, r"inside \(0, 1\)"),
    ("prune.fraction", 1.0, r"inside \(0, 1\)"),
    ("prune.fraction", float("nan"), r"inside \(0, 1\)"),
    ("prune.output_fraction", 1.5, r"inside \(0, 1\)"),
    ("prune.criterion", "snip", "one of magnitude, random"),
    ("prune.scope", "net", "one of layerwise, global"),
    ("prune.densities", (0.5,), "one for each of the 20 levels"),
    ("rewind.step", 50_000, "below num_steps"),
    ("rewind.step", -1, "from 0"),
    ("rewind.params", "init", "one of rewind, keep"),
    ("rewind.optimizer", "keep", "one of fresh, rewind"),
    ("rewind.schedule", "keep", "one of rewind, restart"),
]


@pytest.mark.parametrize(("field", "value", "allowed"), BAD, ids=lambda v: str(v)[:24])
def test_a_bad_value_is_told_with_field_value_and_what_is_allowed(field, value, allowed):
    with pytest.raises(ConfigError, match=allowed) as caught:
        lth_config.read(changed(field, value))
    message = str(caught.value)
    assert message.startswith(f"{field}: ")
    told = (value, *value) if isinstance(value, tuple) else (value,)
    assert any(repr(v) in message for v in told)


@pytest.mark.parametrize("field", ["num_step", "prune.fractoin", "rewind.k"])
def test_an_unknown_field_is_told_with_those_there_are(field):
    with pytest.raises(ConfigError, match=f"{field}: no such field; allowed are"):
        lth_config.read(changed(field, 1))


def test_a_group_cannot_be_a_value():
    with pytest.raises(ConfigError, match=r"prune: 0\.2; must be a group"):
        lth_config.read(changed("prune", 0.2))
