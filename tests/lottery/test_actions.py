import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.trees import assert_trees_equal

import lth_jax
from lth_jax import masks
from lth_jax.lottery.arms import actions
from lth_jax.training.state import with_frozen

KEY = jax.random.key(3)
KERNELS = ("dense_0", "dense_1", "output")


@pytest.fixture(scope="module")
def moved(params):
    """Params whose biases are not 0, and so can be told from any others."""
    return jax.tree.map(lambda p: p + 0.1 if p.ndim == 1 else p, params)


def kept_of(tree, half_masks, name):
    return np.asarray(tree[name]["kernel"])[np.asarray(half_masks[name]["kernel"])]


def assert_others_equal(tree, other):
    for name in KERNELS:
        assert_trees_equal(tree[name]["bias"], other[name]["bias"])


def test_reshuffling_permutes_the_survivors_of_each_layer(moved, half_masks):
    found = jax.jit(actions.reshuffle)(KEY, moved, half_masks)
    for name in KERNELS:
        before, after = (kept_of(t, half_masks, name) for t in (moved, found))
        np.testing.assert_array_equal(np.sort(after), np.sort(before))
        assert (after != before).mean() > 0.7
    assert_others_equal(found, moved)


def test_reshuffling_is_uniform_and_apart_for_each_layer():
    # Three survivors of five places, in two layers of equal shape.
    values = jnp.array([[1.0, 2, 3, 4, 5]])
    mask = jnp.array([[True, False, True, False, True]])
    tree = {n: {"kernel": values} for n in "ab"}
    kept = {n: {"kernel": mask} for n in "ab"}
    keys = jax.random.split(KEY, 3000)
    found = jax.vmap(lambda k: actions.reshuffle(k, tree, kept))(keys)
    a, b = (np.asarray(found[n]["kernel"])[:, 0, ::2] for n in "ab")
    orders, counts = np.unique(a, axis=0, return_counts=True)
    assert len(orders) == 6
    np.testing.assert_allclose(counts / 3000, 1 / 6, atol=0.03)
    assert abs((a == b).all(1).mean() - 1 / 6) < 0.03


def test_constants_are_the_std_of_the_whole_layer_with_either_sign(moved):
    found = jax.jit(actions.constant)(KEY, moved)
    for name in KERNELS:
        kernel, p = np.asarray(found[name]["kernel"]), np.asarray(moved[name]["kernel"])
        np.testing.assert_allclose(np.abs(kernel), p.std(), rtol=1e-5)
        assert 0.3 < (kernel > 0).mean() < 0.7
    assert_others_equal(found, moved)
    a, b = actions.constant(KEY, {n: jnp.eye(9) for n in "ab"}).values()
    assert 0.3 < (a == b).mean() < 0.7


def test_noise_has_a_factor_of_the_deviation_at_the_init(moved):
    initial = jax.tree.map(lambda x: 3 * x, moved)
    found = jax.jit(actions.noise)(KEY, moved, initial, 0.5)
    for name in KERNELS:
        trained, noisy = (np.asarray(x[name]["kernel"]) for x in (moved, found))
        expected = 0.5 * np.asarray(initial[name]["kernel"]).std()
        drawn = (noisy - trained) / expected
        # Of n normal numbers; four standard errors.
        np.testing.assert_allclose(drawn.mean(), 0, atol=4 / np.sqrt(drawn.size))
        np.testing.assert_allclose(drawn.std(), 1, atol=4 / np.sqrt(2 * drawn.size))
    assert_others_equal(found, moved)


def test_signs_are_taken_from_one_and_magnitudes_from_the_other():
    magnitudes = {"kernel": jnp.array([[1.0, -2, 3, -4, 5, 6]]), "bias": jnp.ones(2)}
    signs = {"kernel": jnp.array([[-1.0, 1, 2, -2, 0, -0.0]]), "bias": -jnp.ones(2)}
    found = actions.with_signs(magnitudes, signs)
    np.testing.assert_array_equal(found["kernel"], [[-1, 2, 3, -4, 5, 6]])
    assert_trees_equal(found["bias"], magnitudes["bias"])


def test_what_is_never_pruned_is_left_alone(moved, half_masks):
    prunable = masks.excluding(["output"])
    for found in (
        actions.reshuffle(KEY, moved, half_masks, prunable),
        actions.constant(KEY, moved, prunable),
        actions.with_signs(moved, jax.tree.map(jnp.negative, moved), prunable),
        actions.replace_prunable(moved, jax.tree.map(jnp.zeros_like, moved), prunable),
    ):
        assert_trees_equal(found["output"], moved["output"])
        assert (found["dense_0"]["kernel"] != moved["dense_0"]["kernel"]).any()


def test_masks_that_do_not_fit_are_refused(moved):
    with pytest.raises(AssertionError, match="must be bool"):
        actions.reshuffle(KEY, moved, moved)


@pytest.fixture(scope="module")
def frozen(moved, half_masks):
    return actions.frozen(moved, half_masks)


def oracle_loss(apply_fn, params, init, kept, inputs, labels):
    """The net with where(mask, p, init), by autodiff."""
    whole = jax.tree.map(jnp.where, kept, params, init)
    logits, _ = apply_fn(whole, {}, inputs, True, None)
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def test_a_frozen_net_sees_the_init_where_it_is_pruned(
    network, moved, half_masks, frozen, examples
):
    apply_fn = with_frozen(network.apply, frozen)
    params = masks.apply(half_masks, moved)
    found, _ = apply_fn(params, {}, examples.inputs, False, None)
    expected, _ = network.apply(moved, {}, examples.inputs, False, None)
    np.testing.assert_array_equal(found, expected)
    other = jax.tree.map(lambda p: 2 * p, params)
    found, _ = apply_fn(other, {}, examples.inputs, False, None)
    whole = jax.tree.map(jnp.where, half_masks, other, moved)
    expected, _ = network.apply(whole, {}, examples.inputs, False, None)
    np.testing.assert_array_equal(found, expected)


def test_frozen_weights_stay_and_survivors_follow_the_oracles_gradient(
    network, moved, half_masks, frozen, examples
):
    tx = optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1, momentum=0.9))
    apply_fn = with_frozen(network.apply, frozen)
    steps = jax.jit(lth_jax.make_steps(apply_fn, tx))
    start = lth_jax.rewind(lth_jax.initial_state(moved, tx), half_masks, tx)
    indices = np.arange(90, dtype=np.int32).reshape(3, 30)
    state, losses = steps(start, half_masks, indices, examples)

    params, velocity = start.params, jax.tree.map(jnp.zeros_like, moved)
    for t, batch in enumerate(indices):
        inputs, labels = examples.inputs[batch], examples.labels[batch]
        loss, gradient = jax.value_and_grad(oracle_loss, 1)(
            network.apply, params, moved, half_masks, inputs, labels
        )
        np.testing.assert_allclose(losses[t], loss, rtol=1e-5)
        velocity = jax.tree.map(
            lambda v, g, p: 0.9 * v + g + 0.1 * p, velocity, gradient, params
        )
        params = jax.tree.map(lambda p, v: p - 0.1 * v, params, velocity)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state.params, params
    )
    for name in KERNELS:
        pruned = ~np.asarray(half_masks[name]["kernel"])
        assert not np.asarray(state.params[name]["kernel"])[pruned].any()


def test_without_constants_the_net_is_the_same_function(network):
    assert with_frozen(network.apply, None) is network.apply


def test_members_that_freeze_and_that_do_not_train_in_one_call(
    network, moved, half_masks, frozen, examples, adam
):
    nothing = jax.tree.map(jnp.zeros_like, frozen)
    start = lth_jax.rewind(lth_jax.initial_state(moved, adam), half_masks, adam)
    indices = np.arange(90, dtype=np.int32).reshape(3, 30)

    @jax.jit
    def train(constants):
        steps = lth_jax.make_steps(with_frozen(network.apply, constants), adam)
        return steps(start, half_masks, indices, examples)

    both = jax.tree.map(lambda *x: jnp.stack(x), frozen, nothing)
    state, losses = jax.vmap(train)(both)
    for i, alone in enumerate((frozen, nothing)):
        expected, expected_losses = train(alone)
        np.testing.assert_allclose(losses[i], expected_losses, rtol=1e-5)
        jax.tree.map(
            lambda a, b, i=i: np.testing.assert_allclose(a[i], b, atol=1e-5),
            state.params,
            expected.params,
        )
    np.testing.assert_allclose(train(None)[1], train(nothing)[1], rtol=1e-6)
    assert abs(losses[0] - losses[1]).max() > 1e-3
