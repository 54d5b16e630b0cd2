import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from support.tiers import quick

import lth_jax
from lth_jax.devices import over_members
from lth_jax.devices.members import fastest
from lth_jax.models import MODELS
from lth_jax.training import sampling


@pytest.fixture(scope="module")
def stacked(network, half_masks, adam):
    """Eight members, each with weights and batches of its own."""
    keys = jax.random.split(jax.random.key(9), 8)

    def start(key):
        params, _ = network.init(key)
        return lth_jax.rewind(lth_jax.initial_state(params, adam), half_masks, adam)

    batches = [
        sampling.batch_indices(k, 0, 12, batch_size=30, num_examples=210) for k in keys
    ]
    all_masks = jax.tree.map(lambda m: jnp.stack([m] * 8), half_masks)
    return jax.jit(jax.vmap(start))(keys), all_masks, np.stack(batches)


@pytest.mark.parametrize(
    ("how", "num_members"),
    quick(
        ("vmap", 5),
        ("map", 5),
        of=[*itertools.product(("vmap", "map"), (1, 3, 5, 8)), ("auto", 1), ("auto", 5)],
    ),
)
def test_a_member_alone_gives_what_it_gives_in_a_batch(
    how, num_members, network, examples, adam, stacked
):
    assert jax.local_device_count() == 4  # 5 members need 2 rounds, so 3 devices
    some = jax.tree.map(lambda x: x[:num_members], stacked)
    steps = lth_jax.make_steps(network.apply, adam)
    together = over_members(steps, num_members, num_shared=1, how=how)
    states, losses = together(*some, examples)
    num_devices = len(states.params["output"]["kernel"].sharding.device_set)
    assert num_devices == {1: 1, 3: 3, 5: 3, 8: 4}[num_members]
    alone = jax.jit(steps)
    for m in range(num_members):
        state, member_losses = alone(*jax.tree.map(lambda x, m=m: x[m], some), examples)
        np.testing.assert_allclose(losses[m], member_losses, rtol=1e-4)
        for a, b in zip(
            jax.tree.leaves(state.params), jax.tree.leaves(states.params), strict=True
        ):
            np.testing.assert_allclose(b[m], a, atol=1e-5)


def test_pruned_entries_are_zero_in_every_member(network, examples, adam, stacked):
    steps = lth_jax.make_steps(network.apply, adam)
    states, _ = over_members(steps, 8, num_shared=1)(*stacked, examples)
    for mask, leaf in zip(
        *map(jax.tree.leaves, (stacked[1], states.params)), strict=True
    ):
        assert not np.asarray(leaf)[~np.asarray(mask)].any()


class Kinds(nn.Module):
    """A net of one layer, dense or convolutional."""

    convolves: bool

    @nn.compact
    def __call__(self, inputs):
        if self.convolves:
            inputs = nn.Conv(2, (3, 3))(inputs)
        return nn.Dense(3)(inputs.reshape(len(inputs), -1))


@pytest.mark.parametrize("model", ["lenet", "conv2", "resnet20", "dense", "convolution"])
@pytest.mark.parametrize("backend", ["cpu", "gpu", "tpu"])
def test_members_that_convolve_take_turns_on_a_gpu(model, backend):
    if model in MODELS:
        module, shape = MODELS[model](), (32, 32, 3)
    else:
        module, shape = Kinds(model == "convolution"), (4, 4, 1)
    network = lth_jax.from_linen(module, jnp.zeros((1, *shape)))
    adam = optax.adam(1e-3)
    steps = lth_jax.make_steps(network.apply, adam)
    examples = lth_jax.Examples(jnp.zeros((8, *shape)), jnp.zeros(8, jnp.int32))

    def start(key):
        params, stats = network.init(key)
        state = lth_jax.initial_state(params, adam, stats)
        return state, lth_jax.masks.full(params), jnp.zeros((2, 4), jnp.int32), key

    member = jax.eval_shape(start, jax.random.key(0))
    convolves = model not in ("lenet", "dense")
    expected = "map" if backend == "cpu" or (backend == "gpu" and convolves) else "vmap"
    assert fastest(lambda m: steps(*m[:3], examples, m[3]), member, backend) == expected
