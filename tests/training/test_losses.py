import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lth_jax
from lth_jax import training
from lth_jax.pruning import criteria
from lth_jax.registry import UnknownName
from lth_jax.training.losses import CROSS_ENTROPY, LOSSES, MEAN_SQUARED_ERROR, Loss

RNG = np.random.default_rng(0)


def halved_square(outputs, labels):
    return jnp.square(outputs[:, 0] - labels) / 2


HALVED = Loss(halved_square, {"error": lambda o, y: jnp.abs(o[:, 0] - y)})


@pytest.mark.parametrize("shape", [(7,), (7, 5), (7, 2, 3)])
def test_cross_entropy_takes_labels_of_any_rank(shape):
    logits = RNG.normal(size=(*shape, 4)).astype(np.float32)
    labels = RNG.integers(0, 4, shape).astype(np.int32)
    found = CROSS_ENTROPY.measures(jnp.asarray(logits), jnp.asarray(labels))
    log_p = logits - np.log(np.exp(np.float64(logits)).sum(-1, keepdims=True))
    losses = -np.take_along_axis(log_p, labels[..., None], -1).reshape(7, -1).mean(1)
    np.testing.assert_allclose(found["loss"], losses, rtol=1e-5)
    right = (logits.argmax(-1) == labels).reshape(7, -1).mean(1)
    np.testing.assert_allclose(found["accuracy"], right, rtol=1e-6)


@pytest.mark.parametrize(
    ("outputs", "labels"), [((7, 3), (7, 3)), ((7, 1), (7,)), ((7,), (7,))]
)
def test_squared_error_is_the_mean_of_each_example(outputs, labels):
    outputs, labels = RNG.normal(size=outputs), RNG.normal(size=labels)
    found = MEAN_SQUARED_ERROR.per_example(jnp.asarray(outputs), jnp.asarray(labels))
    expected = np.square(outputs.reshape(7, -1) - labels.reshape(7, -1)).mean(1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"outputs: of shape \(7, 3\); must be \(7,\)"):
        MEAN_SQUARED_ERROR.per_example(jnp.zeros((7, 3)), jnp.zeros(7))
    with pytest.raises(ValueError, match=r"loss: of shape \(\); must be \(7,\)"):
        Loss(lambda o, y: jnp.mean(o)).per_example(jnp.zeros((7, 3)), jnp.zeros(7))
    own = Loss(lambda o, y: (o[:, 0] - y) ** 2)
    with pytest.raises(ValueError, match=r"labels are \(7, 1\), and so must outputs be"):
        own.per_example(jnp.zeros((7, 1)), jnp.zeros((7, 1)))
    with pytest.raises(ValueError, match="metrics: 'loss'"):
        Loss(halved_square, {"loss": halved_square})


def test_own_losses_are_found_by_name(tmp_path, monkeypatch):
    (tmp_path / "own_losses.py").write_text(
        "from lth_jax.training.losses import Loss\n"
        "def mine(outputs, labels): return outputs[:, 0]\n"
        "both = Loss(mine, {'twice': lambda o, y: 2 * o[:, 0]})\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    outputs, labels = jnp.ones((2, 1)), jnp.zeros(2)
    assert set(LOSSES.find("own_losses:mine").measures(outputs, labels)) == {"loss"}
    found = LOSSES.find("own_losses:both").measures(outputs, labels)
    np.testing.assert_array_equal(found["twice"], [2, 2])
    with pytest.raises(UnknownName, match="'own_losses:number' is no loss"):
        LOSSES.find("own_losses:number")


@pytest.fixture(scope="module")
def line():
    """A linear net of one output, and the examples of a line."""
    inputs = jax.random.normal(jax.random.key(0), (60, 3))
    labels = inputs @ jnp.array([1.0, -2.0, 0.5])

    def apply_fn(params, stats, inputs, train, key):
        return inputs @ params["kernel"], stats

    params = {"kernel": jnp.full((3, 1), 0.1)}
    return apply_fn, params, training.Examples(inputs, labels)


def test_training_by_an_own_loss_agrees_with_its_formula(line):
    apply_fn, params, examples = line
    tx, full = optax.sgd(0.1), lth_jax.masks.full(params)
    batches = np.arange(60).reshape(3, 20)
    state, losses = training.make_steps(apply_fn, tx, HALVED)(
        lth_jax.initial_state(params, tx), full, batches, examples
    )
    weights = np.full(3, 0.1)
    for t, batch in enumerate(batches):
        x, y = np.float64(examples.inputs[batch]), np.float64(examples.labels[batch])
        error = x @ weights - y
        np.testing.assert_allclose(losses[t], np.mean(error**2) / 2, rtol=1e-5)
        weights = weights - 0.1 * x.T @ error / len(batch)
    np.testing.assert_allclose(state.params["kernel"][:, 0], weights, rtol=1e-5)
    found = training.make_evaluate(apply_fn, HALVED, chunk_size=25)(state, examples)
    error = np.float64(examples.inputs) @ weights - np.float64(examples.labels)
    assert set(found) == {"loss", "error"}
    np.testing.assert_allclose(found["loss"], np.mean(error**2) / 2, rtol=1e-4)
    np.testing.assert_allclose(found["error"], np.mean(np.abs(error)), rtol=1e-4)


def test_criteria_take_the_loss_of_the_evidence(line):
    apply_fn, params, examples = line
    evidence = criteria.Evidence(
        params,
        params,
        lth_jax.masks.full(params),
        jax.random.key(0),
        examples=examples,
        apply=jax.tree_util.Partial(apply_fn),
        batch_indices=np.arange(60).reshape(3, 20),
        counts={"kernel": 2},
        loss=HALVED,
    )
    x, w = np.float64(examples.inputs), np.full(3, 0.1)
    gradient = x.T @ (x @ w - np.float64(examples.labels)) / 60
    hessian = x.T @ x / 60
    found = jax.jit(criteria.snip)(evidence)["kernel"][:, 0]
    np.testing.assert_allclose(found, np.abs(gradient * w), rtol=1e-4)
    found = jax.jit(criteria.grasp)(evidence)["kernel"][:, 0]
    np.testing.assert_allclose(found, w * (hessian @ gradient), rtol=1e-4)
    for learned in (criteria.supermask_scores, criteria.edge_popup_scores):
        assert np.isfinite(jax.jit(learned)(evidence)["kernel"]).all()
