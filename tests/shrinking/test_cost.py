import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.zoo import ZOO, draw_masks, variables

import lth_jax
from lth_jax import masks, models, shrinking


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
