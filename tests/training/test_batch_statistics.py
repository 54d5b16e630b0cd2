"""Batch statistics estimated anew, against the means of batches that NumPy has."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.tiers import quick

import lth_jax
from lth_jax.training.batch_statistics import make_estimate

INPUTS = np.random.default_rng(0).normal(2, 3, (40, 5)).astype(np.float32)
EXAMPLES = lth_jax.Examples(jnp.asarray(INPUTS), jnp.zeros(40, jnp.int32))
BATCHES = np.random.default_rng(1).permutation(40)[:32].reshape(4, 8).astype(np.int32)


class Net(nn.Module):
    momentum: float

    @nn.compact
    def __call__(self, inputs, train):
        return nn.BatchNorm(use_running_average=not train, momentum=self.momentum)(inputs)


@pytest.mark.parametrize("momentum", quick(0.9, of=[0.0, 0.9, 0.999]))
def test_it_is_the_mean_over_batches_whatever_the_momentum(momentum):
    net = lth_jax.from_linen(Net(momentum), EXAMPLES.inputs[:1])
    params, stats = net.init(jax.random.key(0))
    many = jax.tree.map(lambda x: jnp.stack([x, 7 + x]), stats)  # where they were before
    estimate = jax.jit(jax.vmap(make_estimate(net.apply), (None, 0, None, None)))
    found = estimate(params, many, BATCHES, EXAMPLES)["BatchNorm_0"]
    each = INPUTS[BATCHES].astype(float)
    for member in range(2):
        np.testing.assert_allclose(found["mean"][member], each.mean((0, 1)), rtol=1e-3)
        np.testing.assert_allclose(found["var"][member], each.var(1).mean(0), rtol=1e-3)


def test_what_no_batch_changes_stays():
    def apply(params, stats, inputs, train, key):
        return inputs, {**stats, "mean": 0.5 * stats["mean"] + 0.5 * inputs.mean()}

    given = {"mean": jnp.float32(3), "scale": jnp.float32(4), "number": jnp.int32(5)}
    found = make_estimate(apply)({}, given, BATCHES, EXAMPLES)
    assert found["scale"] == 4 and found["number"] == 5
    assert found["mean"] == pytest.approx(INPUTS[BATCHES].mean(), rel=1e-5)
