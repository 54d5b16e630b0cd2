import functools
import os
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import oracles
from support.paths import ROOT

from lth_jax import models
from lth_jax.models import layers

VALUES = np.array([-np.inf, -2.5, -0.0, 0.0, 1e-30, 3.1, np.inf, np.nan])
NETS = {
    "conv": models.ConvNet(stages=((32, 32),), hidden_sizes=()),
    "resnet": models.ResNet(channels=(32,), num_blocks=1),
    "vgg": models.VGG(convolutions=(2,), channels=(32,)),
}


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_relu_is_the_larger_of_each_and_0_in_its_dtype(dtype):
    x = jnp.asarray(VALUES, dtype)
    found = jax.jit(layers.relu)(x)
    assert found.dtype == dtype
    expected = np.maximum(np.float64(x), 0)
    np.testing.assert_array_equal(np.float64(found), expected)
    slopes = jax.vmap(jax.grad(layers.relu))(x)
    np.testing.assert_array_equal(slopes, np.float64(x) > 0)


def test_two_relus_of_bfloat16_before_a_reduction_are_right_when_compiled():
    """The smallest program that XLA computes wrong on CPU since jax 0.11."""
    draw = np.random.default_rng(0)
    x = jnp.asarray(draw.normal(size=(2, 8, 8, 16)), jnp.bfloat16)
    kernel = jnp.asarray(draw.normal(size=(3, 3, 16, 32)) / 12, jnp.bfloat16)

    def largest(x, kernel):
        x = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return layers.relu(1 - layers.relu(x)).max((1, 2))

    convolved = oracles.convolution(np.float64(x), np.float64(kernel))
    expected = np.maximum(1 - np.maximum(convolved, 0), 0).max((1, 2))
    found = jax.jit(largest)(x, kernel)
    np.testing.assert_allclose(np.float64(found), expected, atol=0.02)


@pytest.mark.parametrize("name", NETS)
def test_compiled_nets_of_bfloat16_are_close_to_float32(name):
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 16)).astype(np.float32)
    variables = NETS[name].init(jax.random.key(0), x)
    half = jax.jit(NETS[name].clone(dtype=jnp.bfloat16).apply)
    found, expected = half(variables, x), NETS[name].apply(variables, x)
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.slow
def test_a_compiled_gradient_through_max_pool_is_xlas_own(monkeypatch):
    """In float64, jax 0.10 computes a pool's input again, with other roundings."""
    with jax.enable_x64(True):
        x = np.random.default_rng(0).normal(size=(20, 32, 32, 3))
        module = models.VGG(width=1 / 8, dtype=jnp.float64)
        variables = module.init(jax.random.key(0), x)

        def loss(params):
            now = {**variables, "params": params}
            outputs, _ = module.apply(now, x, train=True, mutable=["batch_stats"])
            return jax.nn.logsumexp(outputs, axis=-1).mean()

        found = jax.jit(jax.grad(loss))(variables["params"])
        pool = functools.partial(nn.max_pool, window_shape=(2, 2), strides=(2, 2))
        monkeypatch.setattr(models.vgg, "max_pool", pool)
        jax.clear_caches()
        expected = jax.jit(jax.grad(loss))(variables["params"])
    for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(other).max())


@pytest.mark.parametrize("name", ["normal", "uniform", "truncated_normal"])
def test_plain_inits_have_deviation_1_whatever_the_shape(name):
    for shape in ((400, 100), (3, 3, 20, 200)):
        drawn = models.INITIALIZERS[name](jax.random.key(0), shape)
        assert drawn.shape == shape
        np.testing.assert_allclose([drawn.mean(), drawn.std()], [0, 1], atol=0.015)
        scaled = models.times(0.25, models.INITIALIZERS[name])
        np.testing.assert_array_equal(scaled(jax.random.key(0), shape), drawn / 4)


@pytest.mark.parametrize("name", ["glorot", "he", "lecun"])
def test_signs_are_plus_or_minus_the_deviation_of_the_normal(name):
    shape, key = (3, 3, 40, 200), jax.random.key(1)
    signs, normal = (
        np.array(models.INITIALIZERS[f"{name}_{how}"](key, shape))
        for how in ("signs", "normal")
    )
    (size,) = set(np.abs(signs).ravel().tolist())
    np.testing.assert_allclose(size, normal.std(), rtol=0.01)
    assert abs((signs > 0).mean() - 0.5) < 0.01


QR = """
import jax
from lth_jax.models import INITIALIZERS
draw = INITIALIZERS["orthogonal"]
six = lambda key: [draw(x, (100, 100)) for x in jax.random.split(key, 6)]
many = jax.jit(jax.vmap(six))
for i in range(60):
    jax.block_until_ready(many(jax.random.split(jax.random.key(i), 10)))
"""


@pytest.mark.slow
def test_many_orthogonal_inits_at_once_do_not_wait_for_each_other():
    draw = models.INITIALIZERS["orthogonal"]
    keys = jax.random.split(jax.random.key(0), 3)
    expected = [jax.nn.initializers.orthogonal()(key, (30, 20)) for key in keys]
    found = jax.jit(jax.vmap(lambda key: draw(key, (30, 20))))(keys)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    # Threads of the linear algebra would wait busily for cores that others use.
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", QR]
    subprocess.run(command, cwd=ROOT, env=env, timeout=100, check=True)
