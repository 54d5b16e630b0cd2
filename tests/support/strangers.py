"""One small net in four frameworks: convolutions of all kinds, a flattened place."""

import warnings
from typing import Any, NamedTuple

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lth_jax.layout import Layout, chain

KEY = jax.random.key(0)
INPUTS = np.ones((4, 4, 2), np.float32)  # one example
# Units of each place: a convolution, a depthwise one, a transposed one, a dense layer.
SIZES = (4, 8, 6, 5, 3)


class Net(NamedTuple):
    """A net of a framework, and what it computes of `INPUTS`."""

    params: Any  # shapes alone
    layout: Layout
    unit_axes: tuple[int, ...]  # of each kernel
    hidden: Any  # params to what each hidden place has, [units, pixels] by place
    slopes: Any  # params to the derivatives of the logits' sum


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        a = nn.relu(nn.Conv(4, (3, 3), name="stem")(x))
        b = nn.relu(nn.Conv(8, (3, 3), feature_group_count=4, name="depthwise")(a))
        c = nn.relu(nn.ConvTranspose(6, (2, 2), (2, 2), padding="VALID", name="up")(b))
        d = nn.relu(nn.Dense(5, name="dense")(c.reshape(len(x), -1)))
        return a, b, c, d, nn.Dense(3, name="output")(d)


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.stem = nnx.Conv(2, 4, (3, 3), rngs=rngs)
        self.depthwise = nnx.Conv(4, 8, (3, 3), feature_group_count=4, rngs=rngs)
        two = (2, 2)
        self.up = nnx.ConvTranspose(8, 6, two, two, padding="VALID", rngs=rngs)
        self.dense = nnx.Linear(6 * 64, 5, rngs=rngs)
        self.output = nnx.Linear(5, 3, rngs=rngs)

    def __call__(self, x):
        a = nnx.relu(self.stem(x))
        b = nnx.relu(self.depthwise(a))
        c = nnx.relu(self.up(b))
        d = nnx.relu(self.dense(c.reshape(len(x), -1)))
        return a, b, c, d, self.output(d)


NAMES = ("stem", "depthwise", "up", "dense", "output")


def _net(params, layers, unit_axes, run, units_first=False):
    compiled = jax.jit(run)

    def hidden(params):
        *places, _ = compiled(params)
        last = [p if units_first else np.moveaxis(p[0], -1, 0) for p in places]
        return [np.asarray(p).reshape(len(p), -1) for p in last]

    layout = chain((name, None) for name in layers)
    slopes = jax.jit(jax.grad(lambda p: run(p)[-1].sum()))
    return Net(params, layout, unit_axes, hidden, slopes)


def of_linen():
    params = jax.eval_shape(Linen().init, KEY, INPUTS[None])["params"]
    run = lambda p: Linen().apply({"params": p}, INPUTS[None])  # noqa: E731
    return _net(params, NAMES, (-1,) * 5, run)


def of_nnx():
    graph, params = nnx.split(nnx.eval_shape(lambda: Nnx(nnx.Rngs(0))), nnx.Param)
    run = lambda p: nnx.merge(graph, p)(INPUTS[None])  # noqa: E731
    return _net(params, NAMES, (-1,) * 5, run)


def of_equinox():
    def make():
        return {
            "stem": eqx.nn.Conv2d(2, 4, 3, padding=1, key=KEY),
            "depthwise": eqx.nn.Conv2d(4, 8, 3, padding=1, groups=4, key=KEY),
            "up": eqx.nn.ConvTranspose2d(8, 6, 2, 2, key=KEY),
            "dense": eqx.nn.Linear(6 * 64, 5, key=KEY),
            "output": eqx.nn.Linear(5, 3, key=KEY),
        }

    # Shapes alone: drawing weights compiles for long.
    shapes = eqx.filter_eval_shape(make)
    params, static = eqx.partition(shapes, lambda x: hasattr(x, "shape"))

    def run(params):
        net = eqx.combine(params, static)
        a = jax.nn.relu(net["stem"](INPUTS.transpose(2, 0, 1)))
        b = jax.nn.relu(net["depthwise"](a))
        c = jax.nn.relu(net["up"](b))
        d = jax.nn.relu(net["dense"](c.ravel()))
        return a, b, c, d, net["output"](d)

    return _net(params, NAMES, (0,) * 5, run, units_first=True)


def of_haiku():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hk = pytest.importorskip("haiku")

    def forward(x):
        a = jax.nn.relu(hk.Conv2D(4, 3, name="stem")(x))
        b = jax.nn.relu(hk.DepthwiseConv2D(2, 3, name="depthwise")(a))
        c = jax.nn.relu(hk.Conv2DTranspose(6, 2, 2, padding="VALID")(b))
        d = jax.nn.relu(hk.Linear(5, name="dense")(c.reshape(len(x), -1)))
        return a, b, c, d, hk.Linear(3, name="output")(d)

    net = hk.without_apply_rng(hk.transform(forward))
    params = jax.eval_shape(net.init, KEY, INPUTS[None])
    names = ("stem", "depthwise", "conv2_d_transpose", "dense", "output")
    run = lambda p: net.apply(p, INPUTS[None])  # noqa: E731
    return _net(params, names, (-1, -1, -2, -1, -1), run)


FRAMEWORKS = {f.__name__: f for f in (of_linen, of_nnx, of_equinox, of_haiku)}


def positive(params, bias):
    """Random weights above 0, small enough to add up, and biases alike."""
    rng = np.random.default_rng(0)

    def value(leaf):
        if leaf.size in SIZES:
            return jnp.full(leaf.shape, bias, jnp.float32)
        return jnp.asarray(
            rng.uniform(0.5, 1.5, leaf.shape) / leaf.size**0.5, jnp.float32
        )

    return jax.tree.map(value, params)
