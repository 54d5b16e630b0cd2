import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.tiers import quick
from support.trees import assert_trees_equal

import lth_jax
from lth_jax import masks, optimizers, schedules, training
from lth_jax.training import sampling

BATCHES = sampling.batch_indices(
    jax.random.key(5), 0, 24, batch_size=30, num_examples=210
)


def scheduled(name, **kwargs):
    schedule = schedules.make_schedule("cosine", 0.05, num_steps=24)
    return optimizers.make_optimizer(name, schedule, **kwargs)


OPTIMIZERS = {
    "sgd": scheduled("sgd"),
    "momentum and decay": scheduled("momentum", weight_decay=0.1),
    "adam": scheduled("adam"),
    "adamw": scheduled("adamw", weight_decay=0.1),
    "clipping": optax.chain(optax.clip_by_global_norm(0.1), scheduled("momentum")),
    "fixed rate": optax.rmsprop(0.01, momentum=0.9),
    "moments of what is not masked": optax.chain(
        optax.centralize(), optax.add_noise(0.1, 0.5, key=0), scheduled("momentum")
    ),
}
# Their states hold more than moments of the params' shapes; params are 0 all the same.
OTHER_OPTIMIZERS = {
    "adafactor": optax.adafactor(0.01),
    "muon": optax.contrib.muon(0.01),
    "masked": optax.masked(
        optax.adam(0.01), lambda p: jax.tree.map(lambda x: x.ndim > 1, p)
    ),
    "inject_hyperparams": optax.inject_hyperparams(optax.adam)(0.01),
    "sm3": optax.sm3(0.01),
    "flatten": optax.flatten(optax.adam(0.01)),
}


def dense_state(params, tx):
    """A state whose optimizer has moments everywhere, as after dense training."""

    @jax.jit
    def start(params):
        state = lth_jax.initial_state(params, tx)
        ones = jax.tree.map(jnp.ones_like, params)
        _, opt_state = tx.update(ones, state.opt_state, params)
        return state.replace(opt_state=opt_state)

    return start(params)


def sparse_state(params, kept, tx):
    """A state at the masked params."""

    @jax.jit
    def start(params, kept):
        return lth_jax.rewind(lth_jax.initial_state(params, tx), kept, tx)

    return start(params, kept)


@pytest.mark.parametrize(
    "name",
    quick("momentum and decay", "adam", "moments of what is not masked", of=OPTIMIZERS),
)
def test_pruned_entries_and_their_moments_are_exactly_zero(
    name, network, params, half_masks, examples
):
    tx = OPTIMIZERS[name]
    steps = jax.jit(training.make_steps(network.apply, tx))
    state, losses = steps(dense_state(params, tx), half_masks, BATCHES, examples)
    assert np.isfinite(losses).all()
    assert int(state.step) == 24

    def assert_zero(mask, leaf):
        assert not np.asarray(leaf)[~np.asarray(mask)].any()

    jax.tree.map(assert_zero, half_masks, state.params)
    optax.tree.map_params(
        tx, lambda leaf, mask: assert_zero(mask, leaf), state.opt_state, half_masks
    )
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), state.params, params)
    assert all(jax.tree.leaves(moved))


@pytest.mark.parametrize(
    "name", quick("adafactor", "masked", "flatten", of=OTHER_OPTIMIZERS)
)
def test_any_optax_optimizer_keeps_pruned_entries_zero(
    name, network, params, half_masks, examples
):
    tx = OTHER_OPTIMIZERS[name]
    steps = jax.jit(training.make_steps(network.apply, tx))
    start = sparse_state(params, half_masks, tx)
    state, losses = steps(start, half_masks, BATCHES, examples)
    assert np.isfinite(losses).all()
    for mask, leaf in zip(*map(jax.tree.leaves, (half_masks, state.params)), strict=True):
        assert not np.asarray(leaf)[~np.asarray(mask)].any()


def test_moments_are_found_whatever_the_params_look_like():
    """Params of one leaf, and an optimizer that leaves a leaf out."""
    kept, tx = jnp.array([True, False, True]), optax.adam(0.1)
    state = dense_state(jnp.ones(3), tx)
    found = training.project(state, kept, tx)
    assert_trees_equal(optax.tree.get(found.opt_state, "count"), jnp.int32(1))
    np.testing.assert_array_equal(
        optax.tree.get(found.opt_state, "mu").astype(bool), kept
    )
    params = {"a": jnp.ones(3), "b": jnp.ones(2)}
    tx = optax.masked(tx, {"a": True, "b": False})
    both = {"a": kept, "b": jnp.ones(2, bool)}
    found = training.project(dense_state(params, tx), both, tx)
    np.testing.assert_array_equal(
        optax.tree.get(found.opt_state, "mu")["a"].astype(bool), kept
    )


def test_gradients_are_masked_before_the_optimizer_sees_them(
    network, params, half_masks, examples
):
    # Clipping by the norm of the live gradient alone: an SGD step has exactly the
    # length of rate * clip.
    tx = optax.chain(optax.clip_by_global_norm(1e-3), optax.sgd(1.0))
    start = sparse_state(params, half_masks, tx)
    steps = jax.jit(training.make_steps(network.apply, tx))
    state, _ = steps(start, half_masks, BATCHES[:1], examples)
    moved = optax.tree.norm(jax.tree.map(jnp.subtract, state.params, start.params))
    np.testing.assert_allclose(moved, 1e-3, rtol=1e-3)


def test_the_scan_agrees_with_a_plain_loop_in_numpy(params, half_masks, examples):
    """Masked SGD, forward and backward pass by hand."""
    tx = optax.sgd(0.1)
    network = lth_jax.from_linen(
        lth_jax.LeNet(hidden_sizes=(16, 8)), jax.ShapeDtypeStruct((1, 12), jnp.float32)
    )
    steps = jax.jit(training.make_steps(network.apply, tx))
    state, losses = steps(
        lth_jax.initial_state(params, tx), half_masks, BATCHES[:5], examples
    )

    layers = ("dense_0", "dense_1", "output")
    w = {n: np.float64(params[n]["kernel"]) * half_masks[n]["kernel"] for n in layers}
    b = {n: np.float64(params[n]["bias"]) for n in layers}
    for t, batch in enumerate(BATCHES[:5]):
        x, y = np.float64(examples.inputs[batch]), np.asarray(examples.labels[batch])
        activations = [x]
        for n in layers:
            z = activations[-1] @ w[n] + b[n]
            activations.append(np.maximum(z, 0) if n != "output" else z)
        logits = activations.pop()
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        np.testing.assert_allclose(
            losses[t], -np.log(p[np.arange(len(y)), y]).mean(), rtol=1e-5
        )
        delta = (p - np.eye(10)[y]) / len(y)
        for n in reversed(layers):
            inputs = activations.pop()
            gradient = inputs.T @ delta
            delta_below = (delta @ w[n].T) * (inputs > 0)
            w[n] -= 0.1 * gradient * half_masks[n]["kernel"]
            b[n] -= 0.1 * delta.sum(0)
            delta = delta_below
    for n in layers:
        np.testing.assert_allclose(state.params[n]["kernel"], w[n], atol=1e-6)
        np.testing.assert_allclose(state.params[n]["bias"], b[n], atol=1e-6)


def test_segments_one_after_the_other_equal_one_long_one(
    network, params, half_masks, examples, adam
):
    segment = jax.jit(training.make_segment(network.apply, adam))
    state = sparse_state(params, half_masks, adam)
    best, splits = training.Best.before(state), (examples, examples, examples)
    whole, best_of_all, curves = segment(
        state, best, half_masks, BATCHES.reshape(4, 6, 30), *splits
    )
    parts = []
    for part in BATCHES.reshape(2, 2, 6, 30):
        state, best, found = segment(state, best, half_masks, part, *splits)
        parts.append(found)
    assert_trees_equal(state, whole)
    assert_trees_equal(best, best_of_all)
    joined = jax.tree.map(lambda *p: np.concatenate(p), *parts)
    assert_trees_equal(joined, jax.device_get(curves))


def test_one_compilation_serves_every_mask(network, params, half_masks, examples, adam):
    steps = jax.jit(training.make_steps(network.apply, adam))
    state = lth_jax.initial_state(params, adam)
    for kept in (
        masks.full(params),
        half_masks,
        masks.intersection(half_masks, half_masks),
    ):
        steps(lth_jax.rewind(state, kept, adam), kept, BATCHES, examples)
    assert steps._cache_size() == 1


@pytest.mark.parametrize("chunk_size", [1, 70, 100, 210, 1000])
def test_evaluation_agrees_with_numpy_whatever_the_chunks(
    chunk_size, network, params, examples, adam
):
    evaluate = jax.jit(training.make_evaluate(network.apply, chunk_size=chunk_size))
    found = evaluate(lth_jax.initial_state(params, adam), examples)
    logits, _ = network.apply(params, {}, examples.inputs, train=False)
    logits, labels = np.float64(logits), np.asarray(examples.labels)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(
        found["loss"], -log_p[np.arange(210), labels].mean(), rtol=1e-5
    )
    assert float(found["accuracy"]) == np.float32(np.mean(logits.argmax(1) == labels))


def test_segment_curves_are_evaluations_of_the_states_they_name(
    network, params, half_masks, examples, adam
):
    evaluate = jax.jit(training.make_evaluate(network.apply))
    steps = jax.jit(training.make_steps(network.apply, adam))
    segment = jax.jit(training.make_segment(network.apply, adam))
    other = lth_jax.Examples(examples.inputs[:60], examples.labels[60:120])
    state = lth_jax.initial_state(params, adam)
    batches = BATCHES.reshape(4, 6, 30)
    best = training.Best.before(state)
    *_, curves = segment(state, best, half_masks, batches, examples, other, examples)
    for v, part in enumerate(batches):
        state, losses = steps(state, half_masks, part, examples)
        np.testing.assert_allclose(curves.batch_loss[v], losses.mean(), rtol=1e-6)
        found = evaluate(state, other)
        np.testing.assert_allclose(curves.validation["loss"][v], found["loss"], rtol=1e-6)
        assert curves.validation["accuracy"][v] == found["accuracy"]
        found = evaluate(state, examples)
        np.testing.assert_allclose(curves.test["loss"][v], found["loss"], rtol=1e-6)


def test_masks_that_do_not_fit_are_refused_when_traced(network, params, examples, adam):
    steps = jax.jit(training.make_steps(network.apply, adam))
    wrong = jax.tree.map(lambda p: jnp.ones(p.shape, jnp.float32), params)
    with pytest.raises(AssertionError, match="must be bool"):
        steps(lth_jax.initial_state(params, adam), wrong, BATCHES, examples)
