"""Every optimizer of optax trains under masks, or is listed here with a reason."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest
from support.tiers import quick

import lth_jax

# What an update asks of them, which a step has not.
REFUSED = {
    "dpsgd": "batch dimension",  # the gradient of each example
    "sam": "unexpected keyword argument",  # takes its own gradients, and nothing else
    "sophia": "obj_fn",  # a function of its own beside the loss
}
ARGUMENTS = {
    "dpsgd": {"l2_norm_clip": 1.0, "noise_multiplier": 0.1, "seed": 0},
    "noisy_sgd": {"key": 0},
    "mechanize": {"base_optimizer": optax.sgd(0.1)},
    "sam": {"optimizer": optax.sgd(0.1), "adv_optimizer": optax.sgd(0.05)},
    "schedule_free": {"base_optimizer": optax.sgd(0.05), "b1": 0.9},
}
OWN_RATE = {"lbfgs", "polyak_sgd", "schedule_free_sgd", "schedule_free_adamw", "freeze"}


def optimizers():
    """All functions of optax that give an optimizer of what has a learning rate."""
    found = {}
    for module in (optax, optax.contrib):
        for name, make in vars(module).items():
            if not inspect.isfunction(make) or name.startswith(("_", "scale_by")):
                continue
            taken = inspect.signature(make).parameters
            kind = inspect.signature(make).return_annotation
            is_one = "GradientTransformation" in str(kind)
            if is_one and ("learning_rate" in taken or name in ARGUMENTS):
                found[name] = make
    return found


def net(params, stats, inputs, train, key):
    return jax.nn.relu(inputs @ params["a"]) @ params["b"], stats


def trained(tx):
    """The weights after a few steps from a rewound state, the masks, and the losses."""
    keys = jax.random.split(jax.random.key(0), 4)
    x = jax.random.normal(keys[0], (64, 6))
    data = lth_jax.Examples(x, (x[:, 0] > 0).astype(jnp.int32))
    params = {
        "a": jax.random.normal(keys[1], (6, 8)) / 2,
        "b": jax.random.normal(keys[2], (8, 2)) / 3,
    }
    masks = lth_jax.prune(jax.tree.map(jnp.abs, params), lth_jax.masks.full(params), 0.5)
    batches = lth_jax.sampling.batch_indices(
        keys[3], 0, 20, batch_size=16, num_examples=64
    )
    state = lth_jax.rewind(lth_jax.initial_state(params, tx), masks, tx)
    end, losses = jax.jit(lth_jax.make_steps(net, tx))(state, masks, batches, data)
    return end.params, masks, losses


def made(name):
    make, arguments = optimizers()[name], dict(ARGUMENTS.get(name, {}))
    parameters = inspect.signature(make).parameters
    if "learning_rate" in parameters and name not in OWN_RATE:
        arguments["learning_rate"] = 0.05
    return make(**arguments)


@pytest.mark.parametrize("name", sorted(optimizers().keys() - REFUSED.keys()))
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*optimistic_adam")
def test_what_is_pruned_stays_zero(name):
    params, masks, losses = trained(made(name))
    assert np.isfinite(losses).all()
    for mask, leaf in zip(*map(jax.tree.leaves, (masks, params)), strict=True):
        assert not np.asarray(leaf)[~np.asarray(mask)].any()
        assert np.asarray(leaf)[np.asarray(mask)].all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.seed. is deprecated")
@pytest.mark.parametrize("name", REFUSED)
def test_what_asks_for_more_than_a_step_has_is_refused(name):
    with pytest.raises((TypeError, ValueError), match=REFUSED[name]):
        trained(made(name))


@pytest.mark.parametrize("make", quick(optax.lbfgs, of=[optax.lbfgs, optax.polyak_sgd]))
def test_optimizers_that_ask_for_the_loss_make_it_smaller(make):
    _, _, losses = trained(make())
    assert losses[-5:].mean() < 0.7 * losses[0]


def test_a_plateau_is_told_by_the_loss():
    tx = optax.chain(optax.sgd(0.0), optax.contrib.reduce_on_plateau(0.5, patience=3))
    keys = jax.random.key(0)
    x = jnp.ones((8, 2))
    data = lth_jax.Examples(x, jnp.zeros(8, jnp.int32))
    params = {"a": jnp.ones((2, 3)), "b": jnp.ones((3, 2))}
    batches = lth_jax.sampling.batch_indices(keys, 0, 9, batch_size=8, num_examples=8)
    state = lth_jax.initial_state(params, tx)
    full = lth_jax.masks.full(params)
    end, _ = lth_jax.make_steps(net, tx)(state, full, batches, data)
    assert float(optax.tree.get(end.opt_state, "scale")) == 0.25
