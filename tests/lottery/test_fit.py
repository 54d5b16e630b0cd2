"""Counts that a config alone tells, against pruning itself."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lth_jax import config as lth_config
from lth_jax import pruning
from lth_jax.config import ConfigError
from lth_jax.data import Split
from lth_jax.lottery.fit import check_counts, check_draws, check_loss
from lth_jax.models import LeNet, from_linen
from lth_jax.pruning.layer_densities import LAYER_DENSITIES
from lth_jax.training.losses import LOSSES, Loss

SIZES = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3)


def study(num_levels, **prune):
    spec = dataclasses.replace(lth_config.PruneConfig(), **prune)
    return dataclasses.replace(
        lth_config.StudyConfig(), num_levels=num_levels, prune=spec
    )


def refuses(config, leaves, fraction):
    try:
        check_counts(config, list(leaves.items()), fraction)
    except ConfigError:
        return True
    return False


def scores_of(leaves, seed):
    rng = np.random.default_rng(seed)
    return {path: jnp.asarray(rng.random(leaf.shape)) for path, leaf in leaves.items()}


@pytest.mark.slow
@settings(max_examples=15)
@given(sizes=SIZES, fraction=st.floats(0.01, 0.99), levels=st.integers(2, 5))
def test_it_refuses_what_would_empty_a_layer(sizes, fraction, levels):
    masks = {f"l{i}/kernel": jnp.ones(shape, bool) for i, shape in enumerate(sizes)}
    leaves = {path: jax.ShapeDtypeStruct(m.shape, m.dtype) for path, m in masks.items()}
    expected = False
    for level in range(1, levels):
        masks = pruning.prune(scores_of(leaves, level), masks, fraction)
        expected |= not all(mask.any() for mask in masks.values())
    every = dict.fromkeys(leaves, fraction)
    assert refuses(study(levels, fraction=fraction), leaves, every) == expected


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the floor of")
@settings(max_examples=15)
@given(
    sizes=SIZES,
    density=st.floats(0.005, 0.6),
    scope=st.sampled_from(["layerwise", "er", "erk", "global"]),
    floor=st.integers(1, 3),
)
def test_it_refuses_densities_that_would_empty_a_layer(sizes, density, scope, floor):
    masks = {f"l{i}/kernel": jnp.ones(shape, bool) for i, shape in enumerate(sizes)}
    leaves = {path: jax.ShapeDtypeStruct(m.shape, m.dtype) for path, m in masks.items()}
    shapes = {path: leaf.shape for path, leaf in leaves.items()}
    share = LAYER_DENSITIES.get(scope)
    own = density if share is None else share(shapes, density)
    how = {"scope": "global", "floor": floor} if scope == "global" else {}
    try:
        masks = pruning.prune_to_density(scores_of(leaves, 0), masks, own, **how)
        expected = not all(mask.any() for mask in masks.values())
    except ValueError:  # a floor that cannot be met
        expected = True
    config = study(2, densities=(density,), scope=scope, floor=floor)
    assert refuses(config, leaves, density) == expected


def test_it_names_field_level_and_layers():
    leaves = [("a/kernel", np.ones((2, 1))), ("b/kernel", np.ones((50, 2)))]
    fractions = {"a/kernel": 0.9, "b/kernel": 0.2}
    with pytest.raises(ConfigError, match=r"prune\.fraction: level 1 .* a/kernel;"):
        check_counts(study(3, fraction=0.9), leaves, fractions)
    config = study(3, scope="global", densities=(0.5, 0.02), floor=2)
    with pytest.raises(
        ConfigError, match=r"prune\.densities: level 2 .* keep 2 of the weights"
    ):
        check_counts(config, leaves, 0.2)
    check_counts(study(3, structure="blocks", block_size=2), leaves, fractions)


def test_a_net_with_fewer_outputs_than_classes_is_refused_by_name():
    config = dataclasses.replace(lth_config.StudyConfig(), batch_size=2)
    inputs, labels = np.zeros((4, 3), np.float32), np.array([0, 1, 2, 3])
    module = LeNet(hidden_sizes=(2,), num_classes=3)
    network = from_linen(module, inputs[:1])
    split, loss = Split(inputs, labels), LOSSES.find("cross_entropy")
    told = (
        r"^model\.name: 'lenet' has 3 outputs; labels are classes up to 3, which need 4$"
    )
    with pytest.raises(ConfigError, match=told):
        check_loss(config, loss, network, split)
    check_loss(config, loss, network, Split(inputs, labels % 3))


@pytest.mark.parametrize(
    ("losses", "is_refused"),
    [
        (lambda o, y: jnp.square(o - y).mean(-1), True),  # outputs [N], labels [N, 1]
        (lambda o, y: jnp.square(o - y)[:, 0], True),
        (lambda o, y: jnp.square(o - y[:, 0]), False),
        (lambda o, y: jnp.square(o - y[:, 0]) / jnp.abs(y).max(), True),
        (lambda o, y: jnp.log(o - y[:, 0]), False),  # some are NaN, each by itself
    ],
)
def test_a_loss_that_mixes_examples_is_refused(losses, is_refused):
    inputs = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    split = Split(inputs, 1e-3 * inputs[:, :1])
    net = SimpleNamespace(
        init=lambda key: ({}, {}),
        apply=lambda params, stats, x, train: (x[:, 0], stats),
    )
    config = lth_config.StudyConfig(loss=lth_config.LossConfig("my:loss"))
    if not is_refused:
        return check_loss(config, Loss(losses), net, split)
    with pytest.raises(ConfigError, match="depends on other examples, for outputs") as e:
        check_loss(config, Loss(losses), net, split)
    assert "outputs float32[N] and labels float32[N, 1]" in str(e.value)


def test_the_early_bird_rule_needs_five_evaluations():
    config = dataclasses.replace(
        study(3, at="early_bird"), num_steps=100, eval_every_steps=20
    )
    check_draws(config, 0)
    with pytest.raises(ConfigError, match=r"^prune\.at: 'early_bird' .* a level has 4;"):
        check_draws(config, 20)
    check_draws(dataclasses.replace(config, prune=lth_config.PruneConfig()), 20)
