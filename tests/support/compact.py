"""Compact: how tests train smaller nets beside masked ones."""

import jax
import jax.numpy as jnp
import numpy as np

import lth_jax
from lth_jax import masks, training
from support.zoo import variables

NUM_STEPS = 5


def start(name, found, tx):
    params, stats = variables(name)
    state = lth_jax.initial_state(params, tx, stats)
    return training.project(state, found, tx)


def train(module, state, found, tx, inputs, labels):
    """Five steps of eight examples each, in one call."""
    network = lth_jax.from_linen(module, inputs)
    steps = jax.jit(lth_jax.make_steps(network.apply, tx))
    batches = jnp.arange(NUM_STEPS * 8).reshape(NUM_STEPS, 8)
    return steps(state, found, batches, lth_jax.Examples(inputs, labels))


def assert_close(found, expected, atol):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for (path, a), b in zip(
        masks.named_leaves(found), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=atol, err_msg=path)
