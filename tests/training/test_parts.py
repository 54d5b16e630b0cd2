"""Parts of a segment, wherever it is cut, come to the bits of the whole."""

import itertools

import jax
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiers import quick

import lth_jax
from lth_jax import connections, dynamics, masks, optimizers, sampling, schedules
from lth_jax.training import Best, make_segment
from lth_jax.training.dynamic_training import make_dynamic_segment
from lth_jax.training.segment import steps_per_block

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
            made = slice(*(step // NUM_STEPS for step in part))
            curves.append(jax.tree.map(lambda x, made=made: x[made], found))
            assert np.isnan(np.delete(found.validation["loss"], made)).all()
        curves = jax.tree.map(lambda *x: np.concatenate(x), *curves)
        return jax.device_get((state, kept, best, curves))

    return train


@pytest.mark.parametrize("every", quick(None, 24, of=[None, 6, 8, 24]))
def test_a_segment_cut_anywhere_is_the_whole_by_one_program(every, train, network):
    if every is None:
        segment = jax.jit(make_segment(network.apply, TX))
    else:
        own = dynamics.sparse_evolution(every, 40, 0.3)
        segment = jax.jit(make_dynamic_segment(network.apply, TX, own))
    block = steps_per_block(NUM_STEPS, every)
    assert block == (4 if every == 8 else 6)  # less than a chunk, or as long
    last = NUM_EVALS * NUM_STEPS
    whole = train(segment, (0, last), every)
    assert np.isfinite(whole[3].validation["loss"]).all()
    np.testing.assert_array_equal(np.isnan(whole[3].test["loss"]), ~DUE)
    train(segment, (0, 12, last), every)
    compiled = segment._cache_size()  # by now for a state that a call returned too
    places = range(block, last, block)
    pairs = list(itertools.combinations(places, 2))[::4]
    for inside in [*((place,) for place in places), *pairs, places]:
        found = train(segment, (0, *inside, last), every)
        jax.tree.map(np.testing.assert_array_equal, found, whole)
    again = train(segment, (0, 0, 6, 6, 12, 12, last), every) if block == 6 else whole
    jax.tree.map(np.testing.assert_array_equal, again, whole)
    assert segment._cache_size() == compiled
    if every:
        kept_before = train(segment, (0, 0), every)[1]
        assert masks.overlap(whole[1], kept_before) < 1


@pytest.mark.parametrize("every", quick(6, of=[6, 8, 24]))
def test_a_segment_changes_masks_as_steps_do(
    every, network, params, half_masks, examples
):
    """Updates are due at other steps than those of evaluations, or at the same."""
    own = dynamics.sparse_evolution(every, 40, 0.3)
    goal, state = connections.kept_counts(half_masks), lth_jax.initial_state(params, TX)
    batches = BATCHES if every == 6 else BATCHES[:1] if every == 8 else BATCHES[:3]
    splits = examples, examples, examples
    segment = jax.jit(make_dynamic_segment(network.apply, TX, own))
    best = Best.before(state)
    now, _, curves = segment(
        state, best, half_masks, goal, batches, *splits, KEY, MASK_KEY
    )
    steps = jax.jit(lth_jax.make_dynamic_steps(network.apply, TX, own))
    rows = batches.reshape(-1, 10)
    expected, losses = steps(state, half_masks, goal, rows, examples, KEY, MASK_KEY)
    jax.tree.map(np.testing.assert_array_equal, now.masks, expected.masks)
    assert masks.overlap(now.masks, half_masks) < 1
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), now, expected)
    means = losses.reshape(len(batches), -1).mean(1)
    np.testing.assert_allclose(curves.batch_loss, means, rtol=1e-6)


@given(num_steps=st.integers(1, 200), every=st.none() | st.integers(1, 200))
def test_blocks_divide_what_is_between_evaluations_and_updates(num_steps, every):
    size = steps_per_block(num_steps, every)
    assert 1 <= size <= 10
    assert num_steps % size == 0 and (every is None or every % size == 0)
    larger = range(size + 1, 11)
    assert all(num_steps % n or (every is not None and every % n) for n in larger)
