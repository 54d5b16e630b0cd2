"""The net of a study, and the inputs that it takes."""

import dataclasses

import jax
import numpy as np
import pytest

from lth_jax import data
from lth_jax.config import ConfigError, ModelConfig, StudyConfig
from lth_jax.lottery.network import make_module, make_network

PLAIN = data.Normalization(np.float32(0), np.float32(1))


def made(name, shape):
    """The net of that name for two inputs of this shape."""
    model = ModelConfig(name, width=0.1)
    config = dataclasses.replace(StudyConfig(), model=model)
    split = data.Split(np.zeros((2, *shape), np.float32), np.zeros(2, np.int32))
    return make_network(config, make_module(config, 3), PLAIN, split), split.inputs


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("lenet", (5,)),
        ("lenet", (6, 2, 2, 1)),
        ("resnet20", (12, 1)),
        ("resnet20", (8, 8, 3)),
        ("conv2", (8, 8, 1)),
    ],
)
def test_it_takes_inputs_of_its_rank(name, shape):
    network, inputs = made(name, shape)
    params, stats = jax.eval_shape(network.init, jax.random.key(0))
    logits, _ = jax.eval_shape(
        lambda *args: network.apply(*args, train=False), params, stats, inputs
    )
    assert logits.shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "shape", "takes"),
    [
        ("conv2", (40, 1), r"images \[height, width, channels\]"),
        ("vgg16", (784,), r"images \[height, width, channels\]"),
        ("resnet20", (40,), r"images \[.*\] or signals \[length, channels\]"),
    ],
)
def test_another_rank_is_refused_with_what_it_takes(name, shape, takes):
    with pytest.raises(
        ConfigError, match=rf"^model\.name: '{name}' .*\(it takes {takes}\)"
    ):
        made(name, shape)
