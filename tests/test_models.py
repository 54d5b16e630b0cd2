import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lth_jax
from lth_jax import masks, models

IMAGES = jax.ShapeDtypeStruct((1, 28, 28, 1), jnp.uint8)


def test_lenet_300_100_has_the_papers_size_and_layers():
    network = lth_jax.from_linen(lth_jax.LeNet(), IMAGES, lambda x: x.astype(jnp.float32))
    params, batch_stats = network.init(jax.random.key(0))
    assert masks.total_count(masks.full(params)).total == 266_200
    assert list(masks.layer_counts(masks.full(params))) == [
        "dense_0/kernel",
        "dense_1/kernel",
        "output/kernel",
    ]
    assert batch_stats == {}
    images = jnp.zeros((3, 28, 28, 1), jnp.uint8)
    logits, _ = network.apply(params, {}, images, train=False)
    assert logits.shape == (3, 10)
    assert logits.dtype == jnp.float32


def test_lenet_is_the_function_it_says(network, params, examples):
    x = np.float64(examples.inputs)
    for name in ("dense_0", "dense_1"):
        x = np.maximum(x @ params[name]["kernel"] + params[name]["bias"], 0)
    x = x @ params["output"]["kernel"] + params["output"]["bias"]
    logits, _ = network.apply(params, {}, examples.inputs, train=True)
    np.testing.assert_allclose(logits, x, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("glorot", 2 / (400 + 100)),
        ("he", 2 / 400),
        ("lecun", 1 / 400),
    ],
)
def test_initializers_have_the_variance_and_shape_of_their_names(name, variance):
    drawn = {
        shape: np.asarray(
            models.INITIALIZERS[f"{name}_{shape}"](jax.random.key(0), (400, 100))
        )
        for shape in ("normal", "uniform", "truncated_normal")
    }
    for values in drawn.values():
        np.testing.assert_allclose(values.var(), variance, rtol=0.03)
    sigma = np.sqrt(variance)
    # Of 40,000 Gaussian draws some lie beyond 3 sigma; uniform ones end at sqrt(3),
    # and truncated ones at 2 / 0.88.
    assert np.abs(drawn["normal"]).max() > 3 * sigma
    assert np.abs(drawn["uniform"]).max() < 1.733 * sigma
    assert 2 * sigma < np.abs(drawn["truncated_normal"]).max() < 2.28 * sigma
