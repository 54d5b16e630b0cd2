import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.tiers import quick
from support.zoo import ZOO, draw_masks, variables

import lth_jax
from lth_jax import masks, models, shrinking
from lth_jax.shrinking.products import multiply_adds


def test_lenet_by_hand():
    module = models.LeNet(hidden_sizes=(4, 3), num_classes=2)
    params, _ = lth_jax.from_linen(module, jnp.zeros((1, 5, 1))).init(jax.random.key(0))
    found = masks.full(params)
    found["dense_1"]["kernel"] = found["dense_1"]["kernel"].at[0].set(False)
    cost = shrinking.cost(module, params, found, (5, 1))
    weights = 5 * 4 + 4 * 3 + 3 * 2
    assert cost == shrinking.Cost(
        num_params=weights + 9,
        num_live_params=weights + 9 - 3,
        num_bytes=4 * (weights + 9),
        multiply_adds=weights,
        live_multiply_adds=weights - 3,
    )


@pytest.mark.parametrize(
    ("name", "millions"),
    # He et al. 2016, table 6, for ResNet-20: 0.27M params; 41M is what its layers make.
    [("conv2", 43.780608), ("resnet20", 40.813184)],
)
def test_multiply_adds_of_the_papers_nets(name, millions):
    module = models.MODELS[name]()
    network = lth_jax.from_linen(module, jnp.zeros((1, 32, 32, 3)))
    params, stats = jax.eval_shape(network.init, jax.random.key(0))
    full = jax.tree.map(lambda p: np.ones(p.shape, bool), params)
    cost = shrinking.cost(module, params, full, (32, 32, 3), stats)
    assert cost.multiply_adds == cost.live_multiply_adds == round(millions * 1e6)
    leaves = jax.tree.leaves((params, stats))
    assert cost.num_bytes == 4 * sum(leaf.size for leaf in leaves)


def test_half_of_each_layers_filters_is_about_a_quarter_of_the_products():
    params, _ = variables("conv4")
    module, scores = ZOO["conv4"], jax.tree.map(jnp.abs, params)
    found = lth_jax.prune_units(scores, masks.full(params), 0.5, module.layout())
    compact = shrinking.compact(module, params, found)
    masked = shrinking.cost(module, params, found, (16, 16, 3))
    small = shrinking.cost(compact.module, compact.params, compact.masks, (16, 16, 3))
    assert small.multiply_adds == small.live_multiply_adds == masked.live_multiply_adds
    assert small.num_params == small.num_live_params == masked.num_live_params
    assert small.multiply_adds < 0.4 * masked.multiply_adds  # three inputs stay


def test_a_compact_net_costs_no_more_than_the_masked_one():
    params, stats = variables("vgg16")
    found = draw_masks("vgg16", 1, 0.01)
    compact = shrinking.compact(ZOO["vgg16"], params, found, stats)
    masked = shrinking.cost(ZOO["vgg16"], params, found, (32, 32, 3), stats)
    channels = compact.params["conv_0"]["kernel"].shape[-2]
    small = shrinking.cost(
        compact.module,
        compact.params,
        compact.masks,
        (32, 32, channels),
        compact.batch_stats,
    )
    assert small.num_bytes < masked.num_bytes
    assert small.multiply_adds < masked.multiply_adds


def test_of_attention_every_position_is_counted_once():
    """Three positions of 8 numbers, in two heads: four kernels of 8x8."""
    module = nn.MultiHeadDotProductAttention(num_heads=2)
    params = module.init(jax.random.key(0), jnp.zeros((1, 3, 8)))["params"]
    assert params["query"]["kernel"].shape == (8, 2, 4)
    found = shrinking.cost(module, params, masks.full(params), (3, 8))
    assert found.multiply_adds == 3 * 4 * 8 * 8


class Shared(nn.Module):
    """A layer that is used three times."""

    @nn.compact
    def __call__(self, x):
        layer = nn.Dense(8, use_bias=False)
        return layer(layer(layer(x)))


class Tied(nn.Module):
    """An embedding that is looked up, and then multiplied with."""

    @nn.compact
    def __call__(self, tokens):
        embed = nn.Embed(10, 8)
        return embed.attend(nn.Dense(8)(embed(tokens)))


class Cell(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return nn.Dense(8)(x), None


class Stack(nn.Module):
    """Five layers in one scan, their kernels in one leaf."""

    @nn.compact
    def __call__(self, x):
        over_layers = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
        return nn.scan(Cell, length=5, **over_layers)()(x, None)[0]


OF_KIND = {
    "shared": (Shared(), (8,), 3 * 64),
    "tied": (Tied(), (5,), 5 * (64 + 80)),
    "recurrent": (nn.RNN(nn.LSTMCell(4)), (7, 3), 7 * (3 * 16 + 4 * 16)),
    "stacked": (Stack(), (8,), 5 * 64),
    "transposed": (nn.ConvTranspose(4, (3, 3), strides=(2, 2)), (5, 5, 2), 25 * 9 * 8),
    "depthwise": (nn.Conv(8, (3, 3), feature_group_count=8), (5, 5, 8), 25 * 9 * 8),
    "normalised": (nn.WeightNorm(nn.Dense(4)), (8,), 32),
    "recomputed": (nn.remat(nn.Dense)(4), (8,), 32),
    "half": (nn.Dense(4, dtype=jnp.bfloat16), (8,), 32),
}


@pytest.mark.parametrize("kind", quick("shared", "recurrent", of=OF_KIND))
def test_every_use_of_a_weight_is_counted(kind):
    module, shape, expected = OF_KIND[kind]
    dtype = jnp.int32 if kind == "tied" else jnp.float32
    params = module.init(jax.random.key(0), jnp.zeros((1, *shape), dtype))["params"]
    full = masks.full(params)
    found = shrinking.cost(module, params, full, shape, dtype=dtype)
    assert found.multiply_adds == found.live_multiply_adds == expected
    nothing = jax.tree.map(jnp.zeros_like, full)
    found = shrinking.cost(module, params, nothing, shape, dtype=dtype)
    assert (found.multiply_adds, found.live_multiply_adds) == (expected, 0)


def test_of_branches_that_inputs_choose_among_the_dearest_counts():
    def chosen(params, x):
        branches = (lambda x: (x @ params["v"]).sum(), lambda x: (x @ params["w"]).sum())
        return jax.lax.cond(x.sum() > 0, *branches, x)

    params = {"v": jnp.ones((4, 2)), "w": jnp.ones((4, 3))}
    assert multiply_adds(chosen, params, jnp.ones(4)) == {"v": 0, "w": 12}


def test_what_cannot_be_told_is_refused():
    def looped(params, x):
        return jax.lax.while_loop(lambda x: x.sum() < 9, lambda x: x @ params["w"], x)

    def merged(params, x):
        return x @ (params["v"] + params["w"])

    square = jax.ShapeDtypeStruct((3, 3), jnp.float32)
    for fn, words in ((looped, "while loop"), (merged, "several leaves")):
        with pytest.raises(shrinking.NotCounted, match=words):
            multiply_adds(fn, {"v": square, "w": square}, square)


def haiku_attention():
    hk = pytest.importorskip("haiku")

    def attend(x):
        return hk.MultiHeadAttention(2, 4, w_init=hk.initializers.Constant(1))(x, x, x)

    net = hk.without_apply_rng(hk.transform(attend))
    params = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((3, 8)))
    return net.apply, params, 3 * 4 * 64


def equinox_convolution():
    key = jax.random.key(0)
    net = eqx.nn.Conv2d(4, 6, 3, groups=2, padding=1, key=key)
    return lambda p, x: eqx.combine(p, net)(x), eqx.filter(net, eqx.is_array), 64 * 6 * 18


def equinox_recurrence():
    cell = eqx.nn.GRUCell(3, 4, key=jax.random.key(0))
    params, static = eqx.partition(cell, eqx.is_inexact_array)

    def run(params, x):
        cell = eqx.combine(params, static)
        return jax.lax.scan(lambda h, x: (cell(x, h), None), jnp.zeros(4), x)[0]

    return run, params, 7 * (12 * 3 + 12 * 4)


OTHERS = {
    "haiku": (haiku_attention, (3, 8)),
    "convolution": (equinox_convolution, (4, 8, 8)),
    "recurrence": (equinox_recurrence, (7, 3)),
}


@pytest.mark.parametrize("kind", quick("convolution", of=OTHERS))
def test_nets_of_other_frameworks_are_counted_as_functions(kind):
    make, shape = OTHERS[kind]
    run, params, expected = make()

    def apply(params, stats, inputs, train, key):
        return jax.vmap(run, (None, 0))(params, inputs), stats

    found = shrinking.cost(apply, params, masks.full(params), shape)
    assert found.multiply_adds == found.live_multiply_adds == expected


@pytest.mark.parametrize("module", [nn.Dense, len, None, lambda x: x])
def test_what_is_no_net_has_no_cost(module):
    params = {"w": jnp.ones((2, 3))}
    with pytest.raises(ValueError, match=r"^module: .*; must be a module of linen, or a"):
        shrinking.cost(module, params, masks.full(params), (2,))
