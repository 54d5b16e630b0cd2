"""Nets of haiku and equinox, by the functional API: pruned level by level, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lth_jax
from lth_jax import masks

INPUTS = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
LABELS = np.argmax(INPUTS[:, :3], -1).astype(np.int32)


def lottery(apply, start):
    """Dense and two levels of half the weights; of each the masks, state and losses."""
    tx = optax.adam(3e-2)
    steps = jax.jit(lth_jax.make_steps(apply, tx))
    batches = np.arange(600).reshape(30, 20) % 60
    found, levels = masks.full(start), []
    for level in range(3):
        state = lth_jax.initial_state(start, tx)
        state, losses = steps(state, found, batches, lth_jax.Examples(INPUTS, LABELS))
        levels.append((found, state, losses))
        if level < 2:
            found = lth_jax.prune(state.params, found, 0.5)
    return levels


def check(levels, names):
    """Two halvings of these leaves; pruned entries are 0, and the net learns."""
    for level, (found, state, losses) in enumerate(levels):
        counts = masks.layer_counts(found)
        assert set(counts) == names
        for kept, total in counts.values():
            assert kept == total / 2**level
        for kept, param in zip(*map(jax.tree.leaves, (found, state.params)), strict=True):
            assert not np.asarray(param)[~np.asarray(kept)].any()
            assert np.asarray(param)[np.asarray(kept)].any()
        assert losses[-1] < losses[0] / 1.5


def test_a_haiku_net_is_pruned_twice():
    haiku = pytest.importorskip("haiku")
    net = haiku.without_apply_rng(haiku.transform(lambda x: haiku.nets.MLP([16, 4])(x)))

    def apply(params, batch_stats, inputs, train, key=None):
        return net.apply(params, inputs), batch_stats

    levels = lottery(apply, net.init(jax.random.key(0), INPUTS))
    check(levels, {"mlp/~/linear_0/w", "mlp/~/linear_1/w"})


def test_an_equinox_net_is_pruned_twice():
    equinox = pytest.importorskip("equinox")
    net = equinox.nn.MLP(8, 4, width_size=16, depth=1, key=jax.random.key(0))
    params, static = equinox.partition(net, equinox.is_array)

    def apply(params, batch_stats, inputs, train, key=None):
        return jax.vmap(equinox.combine(params, static))(jnp.asarray(inputs)), batch_stats

    check(lottery(apply, params), {"layers/0/weight", "layers/1/weight"})
