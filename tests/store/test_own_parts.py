"""Digests of the user's own parts, by which an edited part is refused."""

import dataclasses
import functools
import itertools
import json

import pytest

from lth_jax.config import ModelConfig, PruneConfig, StudyConfig
from lth_jax.config.optimizer import LossConfig
from lth_jax.pruning.criteria import CRITERIA, Criterion
from lth_jax.store import own_parts
from lth_jax.store.workdir import Workdir, WorkdirError
from lth_jax.training.losses import LOSSES

NUMBERS = itertools.count()
NET = '''
import flax.linen as nn


class Net(nn.Module):
    """A net."""

    num_classes: int = 10

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.Dense(8, name="hidden")(x))  # a comment
        return nn.Dense(self.num_classes, name="output")(x)


make = lambda num_classes: Net(num_classes)
'''


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """The digest of a net in a module of this text."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def found(text, attribute="Net"):
        name = f"own_net_{next(NUMBERS)}"  # a module is imported once
        (tmp_path / f"{name}.py").write_text(text)
        config = dataclasses.replace(
            StudyConfig(), model=ModelConfig(f"{name}:{attribute}")
        )
        ((field, value),) = own_parts.digests(config).items()
        assert field == f"model.name {name}:{attribute}"
        return value

    return found


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("# a comment", "# another", True),
        ('"""A net."""', '"""My net."""', True),
        ("Dense(8, name", "Dense(\n            8, name", True),
        ("nn.relu", "nn.tanh", False),
        ("Dense(8", "Dense(16", False),
    ],
)
def test_code_decides_and_comments_do_not(old, new, is_same, digest):
    assert (digest(NET) == digest(NET.replace(old, new))) is is_same


def test_a_lambda_has_a_digest_too(digest):
    one, other = (NET.replace("make =", f"{name} =") for name in ("make", "make"))
    assert digest(one, attribute="make") == digest(other, attribute="make")


def digest_of(*parts):
    """The digests of parts that are passed as objects under one name, a kind each."""
    for registry, part in zip((CRITERIA, LOSSES), parts, strict=False):
        name = registry.give(part, "passed")
    config = dataclasses.replace(StudyConfig(), prune=PruneConfig(criterion=name))
    return own_parts.digests(config)


def test_settings_of_a_partial_function_decide():
    def loss(outputs, labels, scale):
        return scale

    def found(scale):
        return digest_of(functools.partial(loss, scale=scale))

    assert found(1) == found(1) != found(2)


def larger(evidence):
    return evidence


def smaller(evidence):
    return -evidence


def test_functions_within_an_object_of_the_package_decide():
    def found(scores):
        return digest_of(Criterion(scores))

    assert found(larger) == found(larger) != found(smaller)


def test_a_base_class_decides(digest):
    base = "class Base(nn.Module):\n    number = 1\n\n\nclass Net(Base):"
    text = NET.replace("class Net(nn.Module):", base)
    assert digest(text) == digest(text) != digest(text.replace("= 1", "= 2"))


def test_parts_of_two_kinds_under_one_name_both_decide():
    assert digest_of(larger, larger) != digest_of(larger, smaller)


def test_where_no_source_can_be_read_there_is_no_digest():
    names = {"__name__": "own_code"}
    exec("def unread(evidence):\n    return evidence", names)
    assert digest_of(names["unread"], names["unread"]) == {}
    assert digest_of(Criterion(names["unread"]), larger) == {}


def test_the_packages_parts_have_none():
    config = dataclasses.replace(StudyConfig(), loss=LossConfig("mean_squared_error"))
    assert own_parts.digests(config) == {}


def test_a_part_that_changed_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_net_refused.py").write_text(NET)
    model = ModelConfig("own_net_refused:Net")
    config = dataclasses.replace(StudyConfig(), model=model)
    workdir = Workdir(tmp_path / "study")
    own_parts.check(workdir, config)  # nothing is noted
    noted = own_parts.digests(config)
    for digests, is_same in (
        ({}, True),
        (noted, True),
        (dict.fromkeys(noted, "0"), False),
    ):
        workdir.root.mkdir(exist_ok=True)
        workdir.environment.write_text(json.dumps({"own_parts": digests}))
        if is_same:
            own_parts.check(workdir, config)
        else:
            told = r"^model\.name: 'own_net_refused:Net' has changed since .*study"
            with pytest.raises(WorkdirError, match=told):
                own_parts.check(workdir, config)
