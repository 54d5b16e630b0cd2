import functools
import math

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import oracles
from support.trees import assert_trees_equal

import lth_jax
from lth_jax import masks, models
from lth_jax.models.layers import max_pool

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


def test_models_take_the_fields_they_say():
    for name in models.MODELS:
        fields = models.model_fields(name)
        assert {"num_classes", "width", "kernel_init", "dtype"} <= fields
        assert ("dropout_rate" in fields) == name.startswith("conv")
        assert ("hidden_sizes" in fields) == name.startswith(("conv", "lenet"))


COLOUR = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)


def shapes(name, **fields):
    """The variables of a model for 32x32 images: shapes alone, by path."""
    network = lth_jax.from_linen(models.MODELS[name](**fields), COLOUR)
    params, batch_stats = jax.eval_shape(network.init, jax.random.key(0))
    return dict(masks.named_leaves(params)), dict(masks.named_leaves(batch_stats))


def num_weights(leaves, part=""):
    """Weights in the kernels whose paths have this part."""
    return sum(
        math.prod(leaf.shape)
        for path, leaf in leaves.items()
        if path.endswith("/kernel") and part in path
    )


@pytest.mark.parametrize(
    ("name", "total", "counts"),
    [
        ("conv2", 4_300_992, {"conv_": 38_592, "output": 2_560}),
        ("conv4", 2_425_024, {"conv_": 259_776, "output": 2_560}),
        ("conv6", 2_261_184, {"conv_": 1_144_512, "output": 2_560}),
        ("resnet20", 270_896, {"shortcut": 2_560, "output": 640}),
        ("vgg16", 14_715_584, {"conv_": 14_710_464, "output": 5_120}),
        ("vgg19", 20_024_000, {"conv_": 20_018_880, "output": 5_120}),
    ],
)
def test_models_have_the_sizes_their_docs_say(name, total, counts):
    params, _ = shapes(name)
    assert num_weights(params) == total
    assert {part: num_weights(params, part) for part in counts} == counts
    prunable = {path for path in params if masks.default_prunable(path, params[path])}
    assert prunable == {path for path in params if path.endswith("/kernel")}


def layers(name):
    """The names of the layers that have kernels, and their numbers of outputs."""
    params, _ = shapes(name)
    return {
        path.removesuffix("/kernel"): leaf.shape[-1]
        for path, leaf in params.items()
        if path.endswith("/kernel")
    }


def test_layers_are_named_and_sized_as_the_docs_say():
    assert layers("conv4") == {
        **{"conv_0": 64, "conv_1": 64, "conv_2": 128, "conv_3": 128},
        **{"dense_0": 256, "dense_1": 256, "output": 10},
    }
    sizes = [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
    assert layers("vgg19") == {f"conv_{i}": n for i, n in enumerate(sizes)} | {
        "output": 10
    }
    blocks = {
        f"stage_{stage}_block_{block}/{conv}": channels
        for stage, channels in enumerate((16, 32, 64))
        for block in range(3)
        for conv in ("conv_0", "conv_1", "shortcut")
        if conv != "shortcut" or (stage > 0 and block == 0)
    }
    assert layers("resnet20") == {"conv": 16, "output": 10} | blocks


@pytest.mark.parametrize("name", ["resnet20", "vgg19"])
def test_normalised_convolutions_have_no_bias_and_statistics_of_their_own(name):
    params, batch_stats = shapes(name)
    norms = {path.rsplit("/", 1)[0] for path in params if path.endswith("/scale")}
    assert {path.rsplit("/", 1)[0] for path in batch_stats} == norms
    assert len(norms) == len(layers(name)) - 1
    biases = {path.rsplit("/", 1)[0] for path in params if path.endswith("/bias")}
    assert biases == norms | {"output"}


@pytest.mark.parametrize("name", models.MODELS)
def test_width_is_a_factor_of_all_but_the_classes(name):
    whole, _ = shapes(name, num_classes=7)
    half, _ = shapes(name, num_classes=7, width=0.5)
    assert half.keys() == whole.keys()
    for path, leaf in half.items():
        expected = 7 if path.startswith("output/") else whole[path].shape[-1] // 2
        assert leaf.shape[-1] == expected, path
    thin, _ = shapes(name, width=1e-9)
    assert all(leaf.shape[-1] == 1 for path, leaf in thin.items() if "output" not in path)


@pytest.mark.parametrize("name", models.MODELS)
def test_params_statistics_and_logits_are_float32_whatever_the_computation(name):
    network = lth_jax.from_linen(models.MODELS[name](dtype=jnp.bfloat16), COLOUR)
    variables = jax.eval_shape(network.init, jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    for train in (False, True):
        apply = functools.partial(network.apply, train=train)
        logits, stats = jax.eval_shape(apply, *variables, COLOUR)
        assert logits.shape == (2, 10)
        assert logits.dtype == jnp.float32
        assert jax.tree.map(lambda s: (s.shape, s.dtype), stats) == jax.tree.map(
            lambda s: (s.shape, s.dtype), variables[1]
        )


def test_a_resnet_of_signals_is_one_of_images_one_pixel_wide():
    net = models.ResNet(channels=(3, 5), num_blocks=2, num_classes=4)
    signals = np.random.default_rng(0).normal(size=(5, 12, 2)).astype(np.float32)
    variables = net.init(jax.random.key(0), signals)
    logits = net.apply(variables, signals)

    def widened(leaf):  # the columns beside a pixel are padding
        if leaf.shape[:2] != (3, 1):
            return leaf
        return np.pad(leaf, ((0, 0), (1, 1), (0, 0), (0, 0)))

    as_images = jax.tree.map(widened, variables)
    expected = net.apply(as_images, signals[:, :, None])
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


TINY = {
    "conv": models.ConvNet(stages=((3, 4), (5,)), hidden_sizes=(6,), num_classes=4),
    "resnet": models.ResNet(channels=(3, 5), num_blocks=2, num_classes=4),
    "vgg": models.VGG(convolutions=(2, 1), channels=(3, 5), num_classes=4),
}
BATCH = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype(np.float32)


@functools.cache
def tiny(name, **fields):
    """A tiny net: jitted `apply`, and variables drawn, biases and statistics too."""
    network = lth_jax.from_linen(TINY[name].clone(**fields), BATCH)
    structure = jax.eval_shape(network.init, jax.random.key(0))
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        if path.endswith(("var", "scale")):
            return rng.uniform(0.5, 2, leaf.shape).astype(np.float32)
        size = math.prod(leaf.shape[:-1]) if leaf.ndim > 1 else 4
        return (rng.normal(size=leaf.shape) * (2 / size) ** 0.5).astype(np.float32)

    leaves = [draw(path, leaf) for path, leaf in masks.named_leaves(structure)]
    params, stats = jax.tree.unflatten(jax.tree.structure(structure), leaves)
    return jax.jit(network.apply, static_argnames="train"), params, stats


def relu(x):
    return np.maximum(x, 0)


def dense(x, layer):
    return x @ np.float64(layer["kernel"]) + layer["bias"]


def norm(x, layer, stats):
    scale = layer["scale"] / np.sqrt(np.float64(stats["var"]) + 1e-5)
    return (x - stats["mean"]) * scale + layer["bias"]


def test_convnet_is_the_function_it_says():
    apply, params, _ = tiny("conv")
    x = BATCH
    for layer in ("conv_0", "conv_1", "pool", "conv_2", "pool"):
        if layer == "pool":
            x = oracles.max_pool(x)
        else:
            x = oracles.convolution(x, params[layer]["kernel"]) + params[layer]["bias"]
            x = relu(x)
    x = dense(relu(dense(x.reshape(5, -1), params["dense_0"])), params["output"])
    logits, stats = apply(params, {}, BATCH, train=False)
    assert stats == {}
    np.testing.assert_allclose(logits, x, rtol=1e-4, atol=1e-4)


def test_vgg_is_the_function_it_says():
    apply, params, stats = tiny("vgg")
    x = BATCH
    for i in range(3):
        if i == 2:
            x = oracles.max_pool(x)
        x = oracles.convolution(x, params[f"conv_{i}"]["kernel"])
        x = relu(norm(x, params[f"norm_{i}"], stats[f"norm_{i}"]))
    logits, _ = apply(params, stats, BATCH, train=False)
    expected = dense(x.mean((1, 2)), params["output"])
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_resnet_is_the_function_it_says():
    apply, params, stats = tiny("resnet")

    def normed(x, block, conv, name, strides=(1, 1)):
        kernel = params[block][conv]["kernel"]
        x = oracles.convolution(x, kernel, strides)
        return norm(x, params[block][name], stats[block][name])

    x = oracles.convolution(BATCH, params["conv"]["kernel"])
    x = relu(norm(x, params["norm"], stats["norm"]))
    for stage in range(2):
        for i in range(2):
            block, strides = f"stage_{stage}_block_{i}", (1, 1)
            past = x
            if stage == 1 and i == 0:
                strides = (2, 2)
                past = normed(x, block, "shortcut", "shortcut_norm", strides)
            y = relu(normed(x, block, "conv_0", "norm_0", strides))
            x = relu(past + normed(y, block, "conv_1", "norm_1"))
    assert x.shape == (5, 4, 4, 5)
    logits, _ = apply(params, stats, BATCH, train=False)
    expected = dense(x.mean((1, 2)), params["output"])
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", TINY)
def test_bfloat16_is_close_to_float32(name):
    apply, params, stats = tiny(name)
    half, _, _ = tiny(name, dtype=jnp.bfloat16)
    expected, _ = apply(params, stats, BATCH, train=False)
    logits, _ = half(params, stats, BATCH, train=False)
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(logits, expected, atol=0.1 * np.abs(expected).max())
    assert (np.asarray(logits) != np.asarray(expected)).any()


def test_statistics_move_by_a_tenth_in_training_alone():
    apply, params, stats = tiny("vgg")
    evaluated, same = apply(params, stats, BATCH, train=False)
    assert_trees_equal(same, stats)
    trained, moved = apply(params, stats, BATCH, train=True)
    assert (np.asarray(trained) != np.asarray(evaluated)).any()
    x = oracles.convolution(BATCH, params["conv_0"]["kernel"])
    batch = {"mean": x.mean((0, 1, 2)), "var": x.var((0, 1, 2))}
    for name, value in batch.items():
        expected = 0.9 * stats["norm_0"][name] + 0.1 * value
        np.testing.assert_allclose(moved["norm_0"][name], expected, rtol=1e-4, atol=1e-6)
    # What follows is normalised by the batch's own.
    x = oracles.convolution(
        relu(norm(x, params["norm_0"], batch)), params["conv_1"]["kernel"]
    )
    expected = 0.9 * stats["norm_1"]["mean"] + 0.1 * x.mean((0, 1, 2))
    np.testing.assert_allclose(moved["norm_1"]["mean"], expected, rtol=1e-4, atol=1e-6)


def test_forgotten_statistics_are_an_error():
    apply, params, _ = tiny("vgg")
    for train in (False, True):
        with pytest.raises(ValueError, match="batch_stats: empty"):
            apply(params, {}, BATCH, train=train)


def test_dropout_is_off_in_evaluation_and_drawn_by_the_key_in_training():
    apply, params, _ = tiny("conv", dropout_rate=0.5)
    plain, _, _ = tiny("conv")
    expected, _ = plain(params, {}, BATCH, train=False)
    for key in (None, jax.random.key(0)):
        found, _ = apply(params, {}, BATCH, train=False, key=key)
        np.testing.assert_array_equal(found, expected)
    one, again, other = (
        np.asarray(apply(params, {}, BATCH, train=True, key=jax.random.key(seed))[0])
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert (one != np.asarray(expected)).any()
    with pytest.raises(flax.errors.InvalidRngError, match="dropout"):
        apply(params, {}, BATCH, train=True)


def test_dropout_drops_its_rate_and_scales_the_rest():
    module = models.ConvNet(
        num_classes=100, stages=(), hidden_sizes=(100,), dropout_rate=0.3
    )
    network = lth_jax.from_linen(module, jnp.zeros((1, 1, 1, 1)))
    params = {  # the logits are the hidden units, which are 1
        "dense_0": {"kernel": jnp.zeros((1, 100)), "bias": jnp.ones(100)},
        "output": {"kernel": jnp.eye(100), "bias": jnp.zeros(100)},
    }
    inputs = jnp.zeros((400, 1, 1, 1))
    logits, _ = network.apply(params, {}, inputs, True, jax.random.key(0))
    logits = np.asarray(logits)
    np.testing.assert_allclose(logits[logits != 0], 1 / 0.7, rtol=1e-5)
    deviation = (0.3 * 0.7 / logits.size) ** 0.5
    assert abs(np.mean(logits == 0) - 0.3) < 4 * deviation
    assert len(np.unique(logits, axis=0)) == 400  # examples are drawn for on their own


def test_augmentation_is_for_training_and_needs_a_key():
    calls = []

    def augment(key, inputs):
        calls.append(key)
        return inputs + 1

    network = lth_jax.from_linen(
        lth_jax.LeNet(hidden_sizes=(4,)), jnp.zeros((1, 3)), lambda x: 2 * x, augment
    )
    plain = lth_jax.from_linen(lth_jax.LeNet(hidden_sizes=(4,)), jnp.zeros((1, 3)))
    params, _ = network.init(jax.random.key(0))
    inputs, key = jax.random.normal(jax.random.key(1), (5, 3)), jax.random.key(2)
    evaluated, _ = network.apply(params, {}, inputs, False, key)
    assert not calls
    expected, _ = plain.apply(params, {}, 2 * inputs, False)
    np.testing.assert_array_equal(evaluated, expected)
    trained, _ = network.apply(params, {}, inputs, True, key)
    expected, _ = plain.apply(params, {}, 2 * (inputs + 1), False)  # before preprocessing
    np.testing.assert_array_equal(trained, expected)
    assert len(calls) == 1
    with pytest.raises(ValueError, match="augmentation needs one"):
        network.apply(params, {}, inputs, True)


def test_max_pool_agrees_with_loops():
    x = np.random.default_rng(2).normal(size=(3, 6, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(max_pool(x), oracles.max_pool(x))


def test_the_gradient_of_max_pool_goes_to_the_largest_and_is_shared_by_equals():
    # Few values, so that ties of two, three and four are common.
    x = np.random.default_rng(3).integers(0, 2, (3, 6, 4, 5)).astype(np.float32)
    weights = np.random.default_rng(4).normal(size=(3, 3, 2, 5))
    gradient = jax.grad(lambda x: jnp.sum(weights.astype(np.float32) * max_pool(x)))(x)
    largest = x == oracles.max_pool(x).repeat(2, 1).repeat(2, 2)
    ties = largest.reshape(3, 3, 2, 2, 2, 5).sum((2, 4)).repeat(2, 1).repeat(2, 2)
    assert set(np.unique(ties)) == {1, 2, 3, 4}
    expected = largest * weights.repeat(2, 1).repeat(2, 2) / ties
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)
