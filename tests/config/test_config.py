import ast
import dataclasses
import json
import pathlib
import runpy
import sys

import pytest
from support.trees import as_dict

from lth_jax import config as lth_config
from lth_jax.config import ConfigError
from lth_jax.training import dynamics, rewinding

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.py"))
sys.path.append(str(CONFIGS))  # last, as the command line does; they import each other


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
    with pytest.raises(ConfigError, match=r"'nope'; must be one of .*smoke"):
        get_config("nope")


@pytest.mark.parametrize("name", NAMES)
def test_every_config_file_says_what_to_expect(name):
    head = ast.get_docstring(ast.parse((CONFIGS / f"{name}.py").read_text()))
    for word in ("Frankle & Carbin 2019", "Command:", "Expected:", "Time:", "Variant:"):
        assert word in head
    assert "__" not in head


# Steps, batch, rate, warm-up; conv, dense and output fractions, or the global one and
# what it leaves out; levels. Frankle & Carbin 2019, figures 2, 6, 7 and 8, section 4.
SHARES = (0.1, 0.2, 0.1)
PAPER = {
    "conv2": (20_000, 60, 2e-4, 0, SHARES),
    "conv4": (25_000, 60, 3e-4, 0, SHARES),
    "conv6": (30_000, 60, 3e-4, 0, (0.15, 0.2, 0.1)),
    "conv2:dropout": (60_000, 60, 3e-4, 0, SHARES),
    "conv4:dropout": (75_000, 60, 2e-4, 0, SHARES),
    "conv6:dropout": (90_000, 60, 2e-4, 0, (0.15, 0.2, 0.1)),
    "resnet20": (30_000, 128, 0.1, 0, ("shortcut", "output")),
    "resnet20:low_lr": (30_000, 128, 0.01, 0, ("shortcut", "output")),
    "resnet20:warmup": (30_000, 128, 0.03, 20_000, ("shortcut", "output")),
    "vgg19": (112_000, 64, 0.1, 0, ("output",)),
    "vgg19:low_lr": (112_000, 64, 0.01, 0, ("output",)),
    "vgg19:warmup": (112_000, 64, 0.1, 10_000, ("output",)),
    "vgg16": (56_250, 128, 0.1, 0, ("output",)),
}


@pytest.mark.parametrize("name", PAPER)
def test_cifar_configs_are_the_papers_set_up(name):
    stem, _, variant = name.partition(":")
    get_config = runpy.run_path(str(CONFIGS / f"{stem}.py"))["get_config"]
    study = lth_config.read(get_config(variant))
    steps, batch, rate, warmup, pruned = PAPER[name]
    assert (study.num_steps, study.batch_size) == (steps, batch)
    optimizer, prune = study.optimizer, study.prune
    assert (optimizer.learning_rate, optimizer.warmup_steps) == (rate, warmup)
    assert (study.data.name, study.data.num_validation) == ("cifar10", 5_000)
    assert study.model.name == stem
    assert study.model.dropout_rate == (0.5 if variant == "dropout" else 0)
    if stem.startswith("conv"):
        fractions = prune.conv_fraction, prune.fraction, prune.output_fraction
        assert (prune.scope, fractions, optimizer.name) == ("layerwise", pruned, "adam")
        assert (study.eval_every_steps, study.data.augment) == (100, "none")
    else:
        assert (prune.scope, prune.fraction, prune.exclude) == ("global", 0.2, pruned)
        assert (optimizer.name, optimizer.weight_decay) == ("momentum", 1e-4)
        assert study.data.augment == "flip_and_crop"
        assert optimizer.schedule == "step_drops"


def test_variants_can_be_combined():
    get_config = runpy.run_path(str(CONFIGS / "conv6.py"))["get_config"]
    study = lth_config.read(get_config("dropout,smoke"))
    assert (study.model.dropout_rate, study.num_steps) == (0.5, 100)


def test_variants_that_exclude_each_other_are_refused():
    get_config = runpy.run_path(str(CONFIGS / "resnet20.py"))["get_config"]
    with pytest.raises(ConfigError, match=r"config variant: .* not have both low_lr"):
        get_config("low_lr,warmup")


@pytest.mark.parametrize(
    ("step", "steps"), [("0", 0), ("500", 500), ("2ep", 1834), ("0.5ep", 458)]
)
def test_the_rewind_step_is_in_steps_or_epochs(step, steps):
    preset = "late_rewind" if steps else "rewind"
    rewind = lth_config.RewindConfig(preset, step)
    assert lth_config.rewind_step(rewind, 55_000 / 60, 50_000) in (steps, steps - 1)


def test_an_epoch_beyond_the_budget_is_told():
    rewind = lth_config.RewindConfig("late_rewind", "55ep")
    with pytest.raises(ConfigError, match=r"rewind\.step: '55ep \(step 50\d+\)' .*below"):
        lth_config.rewind_step(rewind, 55_000 / 60, 50_000)


def test_levels_cannot_go_on_at_a_rate_of_zero():
    values = changed("optimizer.schedule", "cosine")
    values["rewind"]["preset"] = "fine_tune"
    with pytest.raises(ConfigError, match=r"optimizer\.schedule: 'cosine' .* almost 0"):
        lth_config.read(values)


def test_the_last_update_falls_before_the_last_step():
    config = lth_config.DynamicConfig(update_every_steps=10, end_fraction=0.99)
    gradual = dynamics.make_dynamics("gradual", **config.arguments(40))
    assert gradual.goal_step <= 40


def test_densities_are_not_given_with_layers_left_out():
    values = changed("prune.densities", (0.5,))
    values["prune"]["exclude"] = ("output",)
    values["num_levels"] = 2
    with pytest.raises(ConfigError, match=r"prune\.densities: .* empty with prune"):
        lth_config.read(values)


def test_presets_can_be_changed_one_setting_at_a_time():
    config = lth_config.RewindConfig("late_rewind", "500", optimizer="rewind")
    assert config.what == rewinding.Rewind(optimizer="rewind")
    assert lth_config.RewindConfig("fine_tune").what == rewinding.REWINDS["fine_tune"]


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
    ("first_replicate", -1, "0 or more"),
    ("first_replicate", 2**32 - 4, r"with all 5 replicates below 2\*\*32"),
    ("num_steps", 0, "at least 1"),
    ("batch_size", -1, "at least 1"),
    ("batch_size", 60.0, "of type int"),
    ("seed", -1, "from 0 to below"),
    ("seed", 2**32, "from 0 to below"),
    ("eval_every_steps", 0, "from 1 to num_steps"),
    ("eval_every_steps", 60_000, "from 1 to num_steps"),
    ("checkpoint_every_steps", 150, "multiple of eval_every_steps"),
    ("eval_test_every_steps", 150, "multiple of eval_every_steps"),
    ("eval_test_every_steps", 0, "positive multiple"),
    ("loss.name", "hinge", "one of cross_entropy"),
    ("arms", "ticket", "a tuple"),
    ("member_axis", "pmap", "one of auto, vmap, map"),
    ("members_per_call", 0, "at least 1"),
    ("mesh.data", 0, r"a positive divisor of batch_size \(60\)"),
    ("mesh.data", 7, r"a positive divisor of batch_size \(60\)"),
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
    ("optimizer.drop_steps", (0,), "from 1 to below num_steps"),
    ("optimizer.warmup_steps", 50_000, "below num_steps"),
    ("optimizer.drop_steps", (10,), "for 'step_drops', and for it alone"),
    ("prune.densities", (0.2, 0.5), "decreasing"),
    ("rewind.step", "xep", "an epoch such as"),
    ("dynamic.drop_fraction", 1.0, r"inside \(0, 1\)"),
    ("dynamic.begin_fraction", -0.1, r"inside \[0, 1\)"),
    ("dynamic.end_fraction", 1.0, r"inside \(begin_fraction, 1\), .* above 0\.0"),
    ("dynamic.update_every_steps", 0, "at least 1"),
    ("dynamic.densities", "uniform", "one of ticket, er, erk"),
    ("prune.fraction", 0.0, r"inside \(0, 1\)"),
    ("prune.fraction", 1.0, r"inside \(0, 1\)"),
    ("prune.fraction", float("nan"), r"inside \(0, 1\)"),
    ("prune.output_fraction", 1.5, r"inside \(0, 1\)"),
    ("prune.criterion", "nope", "one of magnitude, random_uniform, .*snip"),
    ("prune.criterion", "snip", r"prune\.densities, since it looks at the net before"),
    ("prune.criterion", "synflow", r"given with prune\.densities"),
    ("prune.criterion", "edge_popup", r"given with prune\.densities"),
    ("prune.examples_per_class", 0, "at least 1"),
    ("prune.mask_steps", 0, "at least 1"),
    ("prune.floor", -1, "at least 0"),
    ("prune.invert", 1, "of type bool"),
    ("prune.criterion", "random_er", r"given with prune\.densities, which it shares"),
    ("prune.scope", "net", "one of layerwise, global, er, erk"),
    ("prune.scope", "erk", r"given with prune\.densities, which it shares out"),
    ("prune.densities", (0.5,), "one for each of the 20 levels"),
    ("prune.conv_fraction", 1.0, r"inside \(0, 1\)"),
    ("model.width", 0.0, "above 0"),
    ("model.dropout_rate", 1.0, r"inside \[0, 1\)"),
    ("model.dropout_rate", 0.5, "left out for 'lenet'"),
    ("data.augment", "mixup", "one of none, flip_and_crop"),
    ("compute_dtype", "float16", "one of float32, bfloat16"),
    ("log.tensorboard", "runs", "of type bool"),
    ("rewind.step", "50000", "below num_steps"),
    ("rewind.step", "-1", "from 0"),
    ("rewind.step", "two", "an epoch such as '2ep'"),
    ("rewind.step", "twoep", "an epoch such as '2ep'"),
    ("rewind.step", "500", "0 for 'rewind'; see rewind.preset"),
    ("rewind.preset", "none", "one of rewind, late_rewind, lr_rewind"),
    ("rewind.params", "end", "one of init, rewind, keep"),
    ("rewind.optimizer", "restart", "one of fresh, rewind, keep"),
    ("rewind.schedule", "keep", "one of restart, rewind, constant"),
    ("verdict.accuracy_margin", -0.001, r"inside \[0, 1\)"),
    ("verdict.accuracy_margin", 1.0, r"inside \[0, 1\)"),
    ("verdict.accuracy_margin", float("nan"), r"inside \[0, 1\)"),
    ("verdict.loss_margin", -0.1, "at least 0"),
    ("verdict.loss_margin", float("inf"), "finite"),
    ("verdict.claims", ("figure 4a",), "of type Claim"),
    ("verdict.claims", "figure 4a", "a tuple"),
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


# Reading a config imports things, and calls none of them.
OWN = """
from lth_jax.pruning.criteria import Criterion
def anything(*args, hidden_sizes=(), kernel_init=None): raise AssertionError("called")
late = Criterion(anything, looks="init", one_shot=True)
"""
NAMED = ("model", "init", "loss", "optimizer")


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_things.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("own")
def test_names_may_be_of_things_elsewhere():
    values = changed("prune.criterion", "own_things:late")
    for group in NAMED:
        values[group]["name"] = "own_things:anything"
    values["optimizer"]["schedule"] = "own_things:anything"
    # An own model may be told what it takes, and an own schedule anything.
    values["model"]["hidden_sizes"] = (5,)
    values["optimizer"]["drop_steps"] = (10,)
    with pytest.raises(ConfigError, match=r"own_things:late' .* with prune\.densities"):
        lth_config.read(values)
    values["prune"] |= {"structure": "own_things:anything", "criterion": "magnitude"}
    study = lth_config.read(values)
    assert study.prune.structure == "own_things:anything"
    for group, field, value in (
        ("model", "width", 0.5),
        ("model", "dropout_rate", 0.5),
        (None, "compute_dtype", "bfloat16"),
    ):
        more = {group: values[group] | {field: value}} if group else {field: value}
        with pytest.raises(ConfigError, match=f"{field}: {value!r} is not allowed"):
            lth_config.read(values | more)


def test_an_odd_name_is_told_in_one_line():
    with pytest.raises(ConfigError, match=r"^'a\\nb': no such field"):
        lth_config.parse({"a\nb": 1})


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("module", ["nowhere", "own_things"])
@pytest.mark.parametrize(
    "field",
    [
        *(f"{group}.name" for group in NAMED),
        "optimizer.schedule",
        "prune.criterion",
        "prune.structure",
    ],
)
def test_a_thing_that_is_not_there_is_told(field, module):
    name = f"{module}:nothing"
    with pytest.raises(ConfigError, match=rf"^{field}: '{name}' cannot be imported"):
        lth_config.read(changed(field, name))
    # A study that ran once can be told of all the same.
    assert lth_config.parse(changed(field, name))


# Claims.

CLAIM = lth_config.Claim(0.211, "speedup", 1.61, 1.11, None, "figure 4a")
BAD_CLAIMS = [
    ("density", 0.0, r"\[1\]\.density: 0\.0 .*in \(0, 1\]"),
    ("density", 1.5, r"\[1\]\.density: 1\.5 .*in \(0, 1\]"),
    ("density", float("nan"), r"\[1\]\.density: nan .*in \(0, 1\]"),
    ("density", "0.2", r"\.density: '0\.2'; must be of type float"),
    ("measure", "speed", r"\[1\]\.measure: 'speed' .*one of accuracy, final_accuracy"),
    ("paper", None, r"\.paper: None; must be of type float"),
    ("low", "1", r"\.low: '1'; must be of type float"),
    ("high", 1.11, r"\[1\]\.low, high: \(1\.11, 1\.11\) .*in order"),
    ("high", 1.0, r"\[1\]\.low, high: \(1\.11, 1\.0\) .*in order"),
    ("high", float("nan"), r"\[1\]\.low, high: \(1\.11, nan\) .*in order"),
    ("source", None, r"\.source: None; must be of type str"),
    ("reference", "none", r"\[1\]\.reference: 'none' .*given for 'speedup'"),
]


def with_claims(*claims):
    config = lth_config.default()
    config.verdict.claims = claims
    return config


@pytest.mark.parametrize(
    "claim",
    [
        CLAIM,
        dataclasses.replace(CLAIM, low=None, high=0.5),
        dataclasses.replace(CLAIM, arm="reinit", reference="shuffle"),
        dataclasses.replace(CLAIM, measure="accuracy", reference="none", density=1.0),
    ],
)
def test_claims_are_read_from_a_config_and_from_json(claim):
    study = lth_config.read(with_claims(CLAIM, claim))
    assert study.verdict.claims == (CLAIM, claim)
    values = json.loads(json.dumps(as_dict(study)))
    assert isinstance(values["verdict"]["claims"][0], dict)
    assert lth_config.read(values) == study


def test_whole_numbers_in_claims_become_floats():
    claim = dataclasses.replace(CLAIM, density=1, paper=2, low=0, high=3)
    (found,) = lth_config.read(with_claims(claim)).verdict.claims
    assert found == claim
    numbers = found.density, found.paper, found.low, found.high
    assert [type(number) for number in numbers] == [float] * 4


@pytest.mark.parametrize(("field", "value", "message"), BAD_CLAIMS)
def test_a_bad_claim_is_told_with_field_value_and_what_is_allowed(field, value, message):
    claims = CLAIM, dataclasses.replace(CLAIM, **{field: value})
    plain = [dataclasses.asdict(claim) for claim in claims]
    for config in (with_claims(*claims), changed("verdict.claims", plain)):
        with pytest.raises(ConfigError, match=rf"^verdict\.claims{message}"):
            lth_config.read(config)


def test_a_claim_with_a_field_too_many_or_too_few_is_told():
    plain = dataclasses.asdict(CLAIM)
    with pytest.raises(ConfigError, match=r"claims\.figure: no such field; allowed are"):
        lth_config.read(changed("verdict.claims", [{**plain, "figure": "4a"}]))
    del plain["paper"], plain["arm"]  # the arm has a default
    with pytest.raises(ConfigError, match=r"^verdict\.claims\.paper: missing$"):
        lth_config.read(changed("verdict.claims", [plain]))
