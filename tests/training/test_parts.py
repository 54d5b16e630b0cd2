"""Parts of a segment, wherever it is cut, come to the bits of the whole."""

import itertools

import jax
import numpy as np
import optax
import pytest
from support.tiers import quick

import lth_jax
from lth_jax import connections, dynamics, masks, optimizers, sampling, schedules
from lth_jax.training import Best, make_segment
from lth_jax.training.dynamic_training import make_dynamic_segment

KEY, MASK_KEY = jax.random.split(jax.random.key(3))
NUM_EVALS, NUM_STEPS = 4, 12
BATCHES = sampling.batch_indices(
    jax.random.key(5), 0, NUM_EVALS * NUM_STEPS, batch_size=10, num_examples=210
).reshape(NUM_EVALS, NUM_STEPS, 10)
DUE = np.array([False, True, False, True])
# Of pruned weights it fills the moments too, and what it clips by tells of them.
TX = optax.chain(
    optax.centralize(),
    optimizers.make_optimizer(
        "momentum", schedules.make_schedule("cosine", 0.05, num_steps=48)
    ),
    optax.clip_by_global_norm(0.1),
)


@pytest.fixture(scope="module")
def train(network, params, half_masks, examples):
    """Trains from cut to cut by one function, of static masks or some that change."""

    def train(segment, cuts, every):
        state = lth_jax.initial_state(params, TX)
        best, kept, curves = Best.before(state), half_masks, []
        splits = examples, examples, examples
        for part in itertools.pairwise(cuts):
            numbers = tuple(map(np.int32, part))
            if every is None:
                more = BATCHES, *splits, KEY, DUE, numbers
                state, best, found = segment(state, best, kept, *more)
            else:
                goal = connections.kept_counts(half_masks)
                more = goal, BATCHES, *splits, KEY, MASK_KEY, DUE, numbers
                (state, kept), best, found = segment(state, best, kept, *more)
            curves.append(jax.tree.map(lambda x, at=slice(*part): x[at], found))
            others = np.delete(found.validation["loss"], np.s_[slice(*part)])
            assert np.isnan(others).all()
        curves = jax.tree.map(lambda *x: np.concatenate(x), *curves)
        return jax.device_get((state, kept, best, curves))

    return train


@pytest.mark.parametrize("every", quick(None, of=[None, 6, 24]))
def test_a_segment_cut_anywhere_is_the_whole_by_one_program(every, train, network):
    if every is None:
        segment = jax.jit(make_segment(network.apply, TX))
    else:
        own = dynamics.sparse_evolution(every, 40, 0.3)
        segment = jax.jit(make_dynamic_segment(network.apply, TX, own))
    whole = train(segment, (0, 4), every)
    assert np.isfinite(whole[3].validation["loss"]).all()
    np.testing.assert_array_equal(np.isnan(whole[3].test["loss"]), ~DUE)
    train(segment, (0, 1, 4), every)
    compiled = segment._cache_size()  # by now for a state that a call returned too
    for inside in itertools.chain.from_iterable(
        itertools.combinations((1, 2, 3), n) for n in (1, 2, 3)
    ):
        found = train(segment, (0, *inside, 4), every)
        jax.tree.map(np.testing.assert_array_equal, found, whole)
    jax.tree.map(np.testing.assert_array_equal, train(segment, (0, 0, 4), every), whole)
    assert segment._cache_size() == compiled
    if every:
        kept_before = train(segment, (0, 0), every)[1]
        assert masks.overlap(whole[1], kept_before) < 1
