"""The package's nets in small, with params, statistics and masks drawn at random."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import lth_jax
from lth_jax import masks as masks_lib
from lth_jax import models
from lth_jax.layout import INPUTS
from lth_jax.wiring import sizes

WIDTHS = dict.fromkeys(models.MODELS, 0.08) | {"resnet20": 0.3, "lenet": 0.2}
ZOO = {name: models.MODELS[name](width=WIDTHS[name]) for name in models.MODELS}
# Fewer layers, for what has to be trained.
NETS = ZOO | {
    "small_vgg": models.VGG(convolutions=(2, 1), channels=(6, 8)),
    "small_resnet": models.ResNet(channels=(6, 8), num_blocks=2),
    "resnet_of_signals": models.ResNet(channels=(6, 8), num_blocks=2),
}
# VGG halves four times, and is to have borders to the last.
IMAGES = dict.fromkeys(NETS, 16) | {"vgg16": 32, "vgg19": 32}


def images(name, number=3):
    """Inputs of a net, positive and negative."""
    size = IMAGES[name]
    shape = (number, size, 3) if name.endswith("signals") else (number, size, size, 3)
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


@functools.cache
def variables(name):
    """Params and statistics of a net: biases, scales, offsets and all of both signs."""
    network = lth_jax.from_linen(NETS[name], images(name))
    structure = jax.eval_shape(network.init, jax.random.key(0))
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        if path.endswith("var"):
            return rng.uniform(0.5, 2, leaf.shape).astype(np.float32)
        if path.endswith("scale"):
            signs = rng.choice([-1, 1], leaf.shape, p=[0.2, 0.8])
            return (signs * rng.uniform(0.5, 1.5, leaf.shape)).astype(np.float32)
        fan_in = math.prod(leaf.shape[:-1]) if leaf.ndim > 1 else 8
        return (rng.normal(size=leaf.shape) * (2 / fan_in) ** 0.5).astype(np.float32)

    leaves = [draw(path, leaf) for path, leaf in masks_lib.named_leaves(structure)]
    return jax.tree.unflatten(jax.tree.structure(structure), leaves)


def draw_masks(name, seed, density, dead=0.0, others=1.0, dead_inputs=0.0):
    """Masks of a net.

    Args:
      name: of the net.
      seed: to draw with.
      density: of the kernels.
      dead: the share of each layer's units that read nothing, and as many that nobody
        reads; of all but the output.
      others: the density of biases, scales and offsets.
      dead_inputs: the share of the inputs that nobody reads.
    """
    params, _ = variables(name)
    layout, rng = NETS[name].layout(), np.random.default_rng(seed)
    leaves = {
        path: rng.random(p.shape) < (density if p.ndim > 1 else others)
        for path, p in masks_lib.named_leaves(params)
    }
    numbers = sizes(layout, params)
    unread = {
        place: rng.random(number) < (dead_inputs if place == INPUTS else dead)
        for place, number in numbers.items()
    }
    for place in layout:
        unfed = rng.random(numbers[place.name]) < dead
        for layer in place.layers:
            kernel = leaves[f"{layer.name}/kernel"]
            rows = kernel.reshape(-1, numbers[layer.reads], kernel.shape[-1])
            rows[:, unread[layer.reads]] = False
            if place is not layout[-1]:
                kernel[..., unfed] = False
    return jax.tree.unflatten(jax.tree.structure(params), list(leaves.values()))


@functools.cache
def compiled_apply(module, shape):
    """A net's function of inputs of a shape."""
    network = lth_jax.from_linen(module, jax.ShapeDtypeStruct(shape, jnp.float32))
    return jax.jit(network.apply, static_argnames="train")


def logits(module, params, stats, inputs):
    """In evaluation, in float32."""
    inputs = jnp.asarray(inputs, jnp.float32)
    apply = compiled_apply(module, inputs.shape)
    return np.asarray(apply(params, stats, inputs, train=False)[0])


def he_normal(network, seed):
    """Params and statistics of a net as at init, but drawn without compiling."""
    structure = jax.eval_shape(network.init, jax.random.key(0))
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        if leaf.ndim > 1:
            scale = (2 / math.prod(leaf.shape[:-1])) ** 0.5
            return jnp.asarray(rng.normal(size=leaf.shape) * scale, leaf.dtype)
        value = float(path.endswith(("scale", "var")))
        return jnp.asarray(np.full(leaf.shape, value, leaf.dtype))

    leaves = [draw(path, leaf) for path, leaf in masks_lib.named_leaves(structure)]
    return jax.tree.unflatten(jax.tree.structure(structure), leaves)


class NormNet(nn.Module):
    """A net with batch normalisation."""

    @nn.compact
    def __call__(self, inputs, train=False):
        x = nn.Dense(16, name="dense_0")(inputs)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, name="norm")(x))
        return nn.Dense(10, name="output")(x)
