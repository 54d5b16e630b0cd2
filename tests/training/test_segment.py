"""Cheaper evaluation: the best state is carried, the test split seldom looked at."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.tiers import quick
from support.trees import assert_trees_equal

import lth_jax
from lth_jax import sampling, training
from lth_jax.devices import over_members
from lth_jax.training import Best

BATCHES = sampling.batch_indices(
    jax.random.key(5), 0, 120, batch_size=30, num_examples=150
).reshape(12, 10, 30)


@pytest.fixture(scope="module")
def splits(examples):
    """A few noisy training examples, so that the validation loss comes to rise."""
    noise = jax.random.randint(jax.random.key(2), (150,), 0, 10)
    train = lth_jax.Examples(examples.inputs[:150], noise)
    validation = lth_jax.Examples(examples.inputs[150:180], noise[:30])
    return train, validation, lth_jax.Examples(examples.inputs[180:], noise[:30])


@pytest.mark.parametrize("how", quick("map", of=["vmap", "map"]))
def test_early_stopping_is_exact_with_few_tests(how, network, half_masks, splits, adam):
    segment = training.make_segment(network.apply, adam)
    evaluate = training.make_evaluate(network.apply)

    def member(key, kept, batches, test_due, *splits):
        state = lth_jax.initial_state(network.init(key)[0], adam)
        return segment(state, Best.before(state), kept, batches, *splits, None, test_due)

    keys = jax.random.split(jax.random.key(0), 3)
    stacked = jax.tree.map(lambda x: jnp.stack([x] * 3), (half_masks, BATCHES))
    run = over_members(member, 3, num_shared=4, how=how)
    always, _, full = run(keys, *stacked, np.ones(12, bool), *splits)
    due = np.arange(12) % 5 == 1
    state, best, seldom = run(keys, *stacked, due, *splits)
    assert_trees_equal(state, always)
    assert_trees_equal(seldom.validation, full.validation)
    at = np.argmin(full.validation["loss"], axis=1)
    assert (at < 11).any()
    np.testing.assert_array_equal(best.step, 10 * (at + 1))
    tests = over_members(evaluate, 3, num_shared=1, how=how)(best, splits[2])
    for metric, curve in full.test.items():
        np.testing.assert_array_equal(
            tests[metric], np.take_along_axis(curve, at[:, None], axis=1)[:, 0]
        )
        np.testing.assert_array_equal(seldom.test[metric][:, due], curve[:, due])
        assert np.isnan(seldom.test[metric][:, ~due]).all()


def test_what_is_not_due_is_not_computed(network, params, half_masks, splits, adam):
    """A test split whose evaluation counts itself."""
    seen = []

    def apply_fn(params, stats, inputs, train, key):
        if inputs.shape[0] == 29:
            jax.debug.callback(lambda: seen.append(1))
        return network.apply(params, stats, inputs, train, key)

    test = jax.tree.map(lambda x: x[:29], splits[2])
    segment = training.make_segment(apply_fn, adam)
    state = lth_jax.initial_state(params, adam)
    due = np.arange(12) == 11
    jax.block_until_ready(
        segment(
            state, Best.before(state), half_masks, BATCHES, *splits[:2], test, None, due
        )
    )
    jax.effects_barrier()
    assert len(seen) == 1


def test_the_first_of_equal_losses_stays_the_best(params, adam):
    state = lth_jax.initial_state(params, adam)
    best = Best.before(state)
    for step, loss in enumerate([np.nan, 2.0, 1.0, 1.0, 3.0]):
        best = best.or_better(state.replace(step=jnp.int32(step)), jnp.float32(loss))
    assert (int(best.step), float(best.loss)) == (2, 1.0)
