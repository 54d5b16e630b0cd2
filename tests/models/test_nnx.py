import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

import lth_jax
from lth_jax import masks
from lth_jax.models import from_nnx

INPUTS = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
LABELS = np.arange(40) % 3


class Stranger(nnx.Module):
    def __init__(self, rngs, rate=0.0):
        self.layers = nnx.List([nnx.Linear(5, 7, rngs=rngs), nnx.Linear(7, 3, rngs=rngs)])
        self.norm = nnx.BatchNorm(7, rngs=rngs)
        self.drop = nnx.Dropout(rate, rngs=rngs) if rate else None

    def __call__(self, x):
        x = nnx.relu(self.norm(self.layers[0](x)))
        return self.layers[1](self.drop(x) if self.drop else x)


class SameInLinen(nn.Module):
    @nn.compact
    def __call__(self, x, training):
        x = nn.BatchNorm(not training, name="norm")(nn.Dense(7, name="a")(x))
        return nn.Dense(3, name="b")(nn.relu(x))


def renamed(params):
    """Linen's names of the nnx net's params."""
    return {
        "a": params["layers"]["0"],
        "norm": params["norm"],
        "b": params["layers"]["1"],
    }


def trained(network, params, stats, found):
    tx = optax.sgd(0.1, 0.9)
    batches = np.arange(80).reshape(10, 8) % 40
    steps = jax.jit(lth_jax.make_steps(network.apply, tx))
    state = lth_jax.initial_state(params, tx, stats)
    return steps(state, found, batches, lth_jax.Examples(INPUTS, LABELS))


def test_an_nnx_net_trains_as_the_same_net_of_linen():
    mine, theirs = from_nnx(Stranger, INPUTS), lth_jax.from_linen(SameInLinen(), INPUTS)
    params, stats = mine.init(jax.random.key(0))
    assert [path for path, _ in masks.prunable_leaves(params)] == [
        "layers/0/kernel",
        "layers/1/kernel",
    ]
    found = lth_jax.prune(params, masks.full(params), 0.5)
    state, losses = trained(mine, params, stats, found)
    expected, expected_losses = trained(theirs, renamed(params), stats, renamed(found))
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    pairs = (
        (renamed(state.params), state.batch_stats),
        (
            expected.params,
            expected.batch_stats,
        ),
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), *pairs)
    for kept, param in zip(*map(jax.tree.leaves, (found, state.params)), strict=True):
        assert not np.asarray(param)[~np.asarray(kept)].any()
    logits, same = mine.apply(state.params, state.batch_stats, INPUTS, False)
    assert same is state.batch_stats
    wanted, _ = theirs.apply(expected.params, expected.batch_stats, INPUTS, False)
    np.testing.assert_allclose(logits, wanted, atol=1e-4)
    ones = mine.apply(state.params, state.batch_stats, jnp.ones((1, 5)), False)[0]
    np.testing.assert_array_equal(
        mine.apply_to_ones(state.params, state.batch_stats), ones
    )


def test_nnx_dropout_draws_from_the_key_in_training_alone():
    net = from_nnx(lambda rngs: Stranger(rngs, rate=0.5), INPUTS)
    params, stats = net.init(jax.random.key(0))
    assert set(params) == {"layers", "norm"}

    def logits(train, seed):
        return net.apply(params, stats, INPUTS, train, jax.random.key(seed))[0]

    np.testing.assert_array_equal(logits(True, 1), logits(True, 1))
    assert (logits(True, 1) != logits(True, 2)).any()
    np.testing.assert_array_equal(logits(False, 1), logits(False, 2))
    with pytest.raises(ValueError, match="draws in training"):
        net.apply(params, stats, INPUTS, True)


def test_every_key_draws_its_own_nnx_net():
    net = from_nnx(Stranger, INPUTS)
    one, again, other = (net.init(jax.random.key(i))[0]["layers"] for i in (1, 1, 2))
    np.testing.assert_array_equal(one["0"]["kernel"], again["0"]["kernel"])
    assert (one["0"]["kernel"] != other["0"]["kernel"]).all()


def test_what_nnx_cannot_train_is_refused():
    class Counting(Stranger):
        def __init__(self, rngs):
            super().__init__(rngs)
            self.calls = nnx.Variable(jnp.zeros(()))

    with pytest.raises(ValueError, match="calls is a Variable; must be of"):
        from_nnx(Counting, INPUTS)
    with pytest.raises(ValueError, match="Stranger that is made already"):
        from_nnx(Stranger(nnx.Rngs(0)), INPUTS)
