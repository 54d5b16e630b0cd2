"""A new user's own net, data, loss, criterion, arm and the rest, each in one file."""

import shutil
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.runs import texts

import lth_jax
from lth_jax import config as lth_config
from lth_jax import deploy, report
from lth_jax.deploy.__main__ import main as deploy_main
from lth_jax.errors import UserError
from lth_jax.lottery import executor
from lth_jax.store.workdir import Workdir

# One of each kind: the field that names it, its name, and its file.
KINDS = {
    "model": (
        "model.name",
        "my_nets:MyNet",
        """
import flax.linen as nn

class MyNet(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(4, (3, 3), use_bias=False)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        return nn.Dense(self.num_classes)(x.mean((1, 2)))

class Wide(nn.Module):
    kernel_init: object
    width: int = 6

    @nn.compact
    def __call__(self, x):
        x = x.reshape(len(x), -1)
        x = nn.relu(nn.Dense(self.width, kernel_init=self.kernel_init)(x))
        return nn.Dense(3, kernel_init=self.kernel_init)(x)
""",
    ),
    "data set": (
        "data.name",
        "my_data:load",
        """
import numpy as np

def load():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    images = rng.normal(size=(200, 6, 6, 3)) + 2 * np.eye(3)[labels][:, None, None]
    return images[:120], labels[:120], images[120:], labels[120:]
""",
    ),
    "criterion": (
        "prune.criterion",
        "my_scores:score",
        """
import jax

def score(evidence):
    return jax.tree.map(lambda w: abs(w), evidence.params)
""",
    ),
    "arm": (
        "arms",
        "my_arms:half_rewound",
        """
import dataclasses

import jax
from lth_jax.lottery.arms import ARMS, Arm, find_arm

def half_rewound(origin, rules):
    half = jax.tree.map(
        lambda a, b: (a + b) / 2, origin.initial.params, origin.trained.params
    )
    point = dataclasses.replace(origin.initial, params=half)
    return find_arm("ticket").start(origin._replace(initial=point, point=point), rules)

thawing = dataclasses.replace(
    ARMS["gradual"], label="thawing", sentence="thawing", dynamics="my_dynamics:sudden"
)
""",
    ),
    "loss": (
        "loss.name",
        "my_losses:smooth",
        """
import jax
import optax

def smooth(logits, labels):
    wanted = optax.losses.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), 0.1)
    return optax.losses.softmax_cross_entropy(logits, wanted)
""",
    ),
    "optimizer": (
        "optimizer.name",
        "my_optimizers:clipped",
        """
import optax

def clipped(schedule, momentum):
    return optax.chain(optax.clip(1.0), optax.sgd(schedule, momentum))
""",
    ),
    "schedule": (
        "optimizer.schedule",
        "my_schedules:falling",
        """
import optax

def falling(learning_rate, num_steps):
    return optax.linear_schedule(learning_rate, learning_rate / 10, num_steps)
""",
    ),
    "initializer": (
        "init.name",
        "my_inits:small",
        """
import jax

small = jax.nn.initializers.normal(0.1)
""",
    ),
    "structure": (
        "prune.structure",
        "my_structures:columns",
        """
import jax
import jax.numpy as jnp

def columns(scores, masks, level, request):
    def keep(score, mask):
        if score.ndim < 2:
            return mask
        units = score.reshape(-1, score.shape[-1]).sum(0)
        return mask & (units > units.min())
    return jax.tree.map(keep, jax.tree.map(jnp.asarray, scores), masks)
""",
    ),
    "dynamics": (
        None,
        "my_dynamics:sudden",
        """
import jax
from lth_jax.training import connections
from lth_jax.training.dynamics import Dynamics

def sudden(every, prunable):
    def update(share, moment):
        scores = jax.tree.map(abs, moment.params)
        return connections.shrink(scores, moment.masks, moment.goal, share, prunable)
    return Dynamics(every, (0.0, 1.0), update, goal_step=every + 1)
""",
    ),
}
FLAGS = {  # of a study as small as it can be
    "num_replicates": 2,
    "num_levels": 2,
    "num_steps": 20,
    "batch_size": 20,
    "eval_every_steps": 10,
    "checkpoint_every_steps": 10,
    "data.num_validation": 40,
    "optimizer.learning_rate": 0.05,
}


def file_of(name):
    return f"{name.partition(':')[0]}.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the user's files are, which can be imported; on no path of the package."""
    folder = tmp_path_factory.mktemp("strangers")
    for _, name, text in KINDS.values():
        (folder / file_of(name)).write_text(text)
    arrays = {}
    exec(KINDS["data set"][2], arrays)
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(folder / "mine.npz", **dict(zip(names, arrays["load"](), strict=True)))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder
        for _, name, _ in KINDS.values():  # others' files may be called the same
            sys.modules.pop(name.partition(":")[0], None)


def config(**fields):
    """The smallest study, with these fields; groups with two underscores."""
    found = lth_config.default()
    given = {name.replace("__", "."): value for name, value in fields.items()}
    for name, value in (FLAGS | given).items():
        *groups, last = name.split(".")
        group = found
        for part in groups:
            group = group[part]
        group[last] = value
    return found


def forbid_training(monkeypatch):
    def train(*_):
        raise AssertionError("nothing is left to train")

    monkeypatch.setattr(executor.Executor, "_train", train)


@pytest.fixture(scope="module")
def typed(commands):
    """Runs a command as the user types it, in their folder."""

    def typed(folder, *flags, module="lth_jax.main"):
        return commands.run(module, *flags, cwd=folder)

    return typed


@pytest.fixture(scope="module")
def typed_study(folder, typed):
    """A study of the command line with one's own net, data, criterion, arm and loss."""
    kinds = ("model", "data set", "criterion", "loss")
    flags = [
        "--config=mnist1d:smoke",
        "--config.model.hidden_sizes=()",
        "--workdir=mine",
        "--config.arms=ticket,my_arms:half_rewound",
        *(f"--config.{name}={value}" for name, value in FLAGS.items()),
        *(f"--config.{KINDS[kind][0]}={KINDS[kind][1]}" for kind in kinds),
    ]
    code, out, err = typed(folder, *flags)
    assert code == 0, err
    return folder / "mine", flags, out


def test_own_things_from_the_command_line(typed_study):
    root, _, out = typed_study
    assert "half rewound" in (root / "report.html").read_text()
    assert "my_arms:half_rewound" in out
    assert (root / "verdict.json").exists()


def test_the_same_command_again_trains_nothing(folder, typed, typed_study):
    root, flags, out = typed_study
    before = texts(Workdir(root))
    code, again, err = typed(folder, *flags)
    assert (code, again) == (0, out), err
    assert "finished" in err
    assert texts(Workdir(root)) == before


def test_a_report_does_not_need_the_files(typed, typed_study, tmp_path):
    root, _, _ = typed_study
    shutil.copytree(root, tmp_path / "mine")
    (tmp_path / "mine" / "report.html").unlink()
    flag = f"--workdir={tmp_path / 'mine'}"
    code, _, err = typed(tmp_path, flag, module="lth_jax.report")
    assert code == 0, err
    assert "half rewound" in (tmp_path / "mine" / "report.html").read_text()


def test_own_nets_are_deployed_and_what_is_missing_named(
    folder, typed, typed_study, tmp_path, capsys
):
    root, _, _ = typed_study
    flags = [f"--workdir={root}", "--level=1", f"--out={tmp_path / 'out'}"]
    code, _, err = typed(tmp_path, *flags, module="lth_jax.deploy")
    assert (code, err.count("\n")) == (2, 1)
    assert "my_" in err
    assert deploy_main(flags) == 0, capsys.readouterr().err
    inputs = np.load(folder / "mine.npz")["x_test"].astype(np.float32)
    assert deploy.load(tmp_path / "out")(inputs).shape == (80, 3)


@pytest.fixture(scope="module")
def every_kind(folder, tmp_path_factory):
    """A study with one of each kind."""
    fields = {field: name for field, name, _ in KINDS.values() if field}
    fields |= {
        "model.name": "my_nets:Wide",
        "arms": ("ticket", "my_arms:half_rewound", "my_arms:thawing"),
        "dynamic.update_every_steps": 10,
    }
    root = tmp_path_factory.mktemp("kinds") / "study"
    return lth_jax.run_study(config(**fields), workdir=root)


def test_each_kind_takes_one_file(folder, every_kind):
    assert len({file_of(name) for _, name, _ in KINDS.values()}) == len(KINDS) == 10
    for kind, (_, name, text) in KINDS.items():
        assert len(text.strip().splitlines()) <= 25, kind
        module = sys.modules[name.partition(":")[0]]
        assert module.__file__ == str(folder / file_of(name)), kind


def test_one_of_each_kind_does_its_part(every_kind):
    params, masks = every_kind.ticket(level=1)
    for layer, weights in params.items():  # the structure: one unit of each layer went
        kept = np.asarray(masks[layer]["kernel"]).any(0)
        assert (~kept).sum() == 1, layer
        assert np.abs(weights["kernel"]).max() < 0.6  # the initializer
    arms = {run.arm for run in lth_jax.run.records.read(every_kind.workdir.records)}
    assert arms == {"ticket", "my_arms:half_rewound", "my_arms:thawing"}


def numbers():
    """A regression: numbers as labels."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5))
    y = x[:, 0] - x[:, 1]
    return x[:120], y[:120], x[120:], y[120:]


class Mlp(nn.Module):
    num_classes: int = 1

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.num_classes)(nn.relu(nn.Dense(8)(x)))


@pytest.mark.slow
def test_a_regression_ends_with_a_verdict_by_loss(tmp_path):
    study = config(loss__name="mean_squared_error", arms=("ticket",))
    result = lth_jax.run_study(study, model=Mlp(), data=numbers(), workdir=tmp_path / "r")
    assert result.verdict.metric.name == "loss"
    assert repr(result) == str(result) and repr(result.verdict) in str(result)
    report.write(result.workdir)
    page = (tmp_path / "r" / "report.html").read_text()
    assert "test loss" in page


def test_objects_are_given_again_or_missed_in_one_line(
    folder, typed, tmp_path, monkeypatch
):
    class Here(Mlp):
        num_classes: int = 3
        depth: int = 1

    def halved(origin, rules):
        return lth_jax.arms.find_arm("ticket").start(origin, rules)

    def gap(outputs, labels):
        return jnp.square(outputs - jax.nn.one_hot(labels, 3)).sum(-1)

    x, y, *test = (a.reshape(len(a), -1) if a.ndim > 1 else a for a in _arrays(folder))
    given = {
        "model": Here(),
        "data": (x, y, *test),
        "loss": gap,
        "criterion": lambda evidence: jax.tree.map(abs, evidence.params),
        "arms": (halved,),
        "workdir": tmp_path / "given",
    }
    result = lth_jax.run_study(config(arms=("ticket",)), **given)
    before = texts(result.workdir)
    with monkeypatch.context() as patch:
        forbid_training(patch)
        lth_jax.run_study(config(arms=("ticket",)), **given)
        with pytest.raises(UserError, match=r"model\.name.*depth=1"):
            other = given | {"model": Here(depth=2)}
            lth_jax.run_study(config(arms=("ticket",)), **other)
    assert texts(result.workdir) == before
    assert set(result.records["arm"]) == {"ticket", "given:halved"}
    # Another process reports it, but cannot make the net again.
    flag = f"--workdir={tmp_path / 'given'}"
    code, _, err = typed(tmp_path, flag, module="lth_jax.report")
    assert code == 0, err
    code, _, err = typed(
        tmp_path, flag, "--level=1", "--out=out", module="lth_jax.deploy"
    )
    assert (code, err.count("\n")) == (2, 1)
    assert "passed to run_study as an object" in err


def _arrays(folder):
    with np.load(folder / "mine.npz") as file:
        return [file[name] for name in ("x_train", "y_train", "x_test", "y_test")]


def test_an_arm_given_anew_is_the_new_one():
    found = []
    for number in range(2):

        def arm(origin, rules, number=number):
            return number

        name = lth_jax.arms.ARMS.give(arm)
        found.append(lth_jax.arms.find_arm(name).start(None, None))
    assert (name, found) == ("given:arm", [0, 1])


REFUSED = {
    "model.width": ({"model__width": 0.5}, "model.width: 0.5"),
    "compute_dtype": ({"compute_dtype": "bfloat16"}, "takes no dtype"),
    "init.name": ({"init__name": "he_normal"}, "takes no kernel_init"),
    "model.name": ({"model__name": "my_nets:Ours"}, "'my_nets:Ours' cannot be imported"),
    "prune.criterion": (
        {"prune__criterion": "saliency", "loss__name": "mean_squared_error"},
        "prune.criterion: 'saliency' is not allowed for labels float32[N, 1]",
    ),
    "loss.name": (
        {},
        "loss.name: 'cross_entropy' is not allowed for labels float32[N, 1]",
    ),
}


@pytest.mark.parametrize("field", REFUSED)
def test_what_does_not_go_together_is_told_in_one_line(folder, tmp_path, field):
    fields, told = REFUSED[field]
    is_own = field in ("model.width", "compute_dtype", "init.name")
    fields = {"model__name": "my_nets:MyNet"} | fields if is_own else fields
    data = None if is_own else numbers()
    with pytest.raises(UserError) as refused:
        lth_jax.run_study(config(**fields), data=data, workdir=tmp_path / "none")
    assert str(refused.value).startswith(field)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_result_prints_its_verdict_and_names_the_levels_it_has(every_kind):
    told = str(every_kind)
    assert told.startswith(f"study in {every_kind.workdir.root}\n")
    assert told.endswith(str(every_kind.verdict))
    assert "matches the dense net" in told or "match the dense net" in told
    with pytest.raises(UserError, match=r"^level: 9 is not allowed; must be from 0,"):
        every_kind.ticket(level=9)
