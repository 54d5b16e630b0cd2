"""The paper's nets as benchmarks train them, on random data."""

import math
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.extend.core import Jaxpr, subjaxprs
from timing import report

import lth_jax
from lth_jax.data.augment import flip_and_crop
from lth_jax.models import MODELS, convolution
from lth_jax.training import optimizers, sampling, schedules

BATCH_SIZES = dict.fromkeys(MODELS, 60) | {"resnet20": 128, "vgg16": 128, "vgg19": 64}
WITH_MOMENTUM = ("resnet20", "vgg16", "vgg19")  # and augmentation; the others with Adam

Apply = Callable[..., tuple[jax.Array, Any]]


class Case(NamedTuple):
    """One net, and all inputs of its training step."""

    name: str
    optimizer: str
    dtype: str
    apply: Apply
    tx: optax.GradientTransformation
    state: Any
    masks: Any
    indices: np.ndarray
    train: lth_jax.Examples
    key: jax.Array
    step_flops: int

    def report(self, measurement: str, **values: Any) -> None:
        """Prints one measurement of this net."""
        report(
            measurement,
            model=self.name,
            batch_size=self.indices.shape[1],
            dtype=self.dtype,
            steps=len(self.indices),
            **values,
        )

    def step_ms(self, seconds: list[float]) -> float:
        """Returns milliseconds per step, from the seconds of calls of all steps."""
        return round(1e3 * statistics.median(seconds) / len(self.indices), 3)


def make_case(name: str, steps: int, dtype: str) -> Case:
    """Returns a net with its paper's batch and optimizer, half of its weights pruned."""
    shape = (55_000, 28, 28, 1) if name == "lenet" else (45_000, 32, 32, 3)
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(rng.integers(0, 256, shape, np.uint8))
    labels = jnp.asarray(rng.integers(0, 10, shape[:1], np.int32))
    with_momentum = name in WITH_MOMENTUM
    optimizer = "momentum" if with_momentum else "adam"
    schedule = schedules.make_schedule(
        "constant", 0.01 if with_momentum else 2e-4, num_steps=steps
    )
    decay = 1e-4 if with_momentum else 0.0
    tx = optimizers.make_optimizer(optimizer, schedule, weight_decay=decay)
    network = lth_jax.from_linen(
        MODELS[name](dtype=jnp.dtype(dtype)),
        inputs[:1],
        lambda x: (x.astype(jnp.float32) - 127.5) / 73.9,
        flip_and_crop if with_momentum else None,
    )
    key = jax.random.key(0)
    params, stats = jax.jit(network.init)(key)
    masks = lth_jax.prune(jax.tree.map(jnp.abs, params), lth_jax.masks.full(params), 0.5)
    state = lth_jax.rewind(lth_jax.initial_state(params, tx, stats), masks, tx)
    batch_size = BATCH_SIZES[name]
    indices = sampling.batch_indices(
        key, 0, steps, batch_size=batch_size, num_examples=shape[0]
    )
    forward = jax.make_jaxpr(
        lambda x: xla_gradients(network.apply)(params, stats, x, False)
    )
    return Case(
        name=name,
        optimizer=optimizer,
        dtype=dtype,
        apply=network.apply,
        tx=tx,
        state=state,
        masks=masks,
        indices=indices,
        train=lth_jax.Examples(inputs, labels),
        key=key,
        step_flops=3 * product_flops(forward(inputs[:batch_size]).jaxpr),
    )


def xla_gradients(apply: Apply) -> Apply:
    """Returns the same net with plain convolutions, which have XLA's gradients."""

    def traced(*args: Any) -> tuple[jax.Array, Any]:
        with mock.patch.object(convolution, "_convolve", convolution._xla):
            return apply(*args)

    return traced


def product_flops(jaxpr: Jaxpr) -> int:
    """Returns FLOPs: two for each multiply-add of convolutions and matrix products."""
    flops = sum(map(product_flops, subjaxprs(jaxpr)))
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "conv_general_dilated":
            kernel = eqn.invars[1].aval.shape
            channels = kernel[eqn.params["dimension_numbers"].rhs_spec[0]]
            flops += 2 * eqn.outvars[0].aval.size * (math.prod(kernel) // channels)
        elif eqn.primitive.name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            length = math.prod(eqn.invars[0].aval.shape[i] for i in contracted)
            flops += 2 * eqn.outvars[0].aval.size * length
    return flops
