import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.tiers import quick
from support.trees import assert_trees_equal
from support.zoo import NETS, ZOO, draw_masks, images, logits, variables

from lth_jax import masks, models, shrinking
from lth_jax.layout import INPUTS
from lth_jax.wiring import sizes

# What is pruned: kernels to a density; of biases, scales and offsets some; whole units.
CASES = {
    "dense": {"density": 1.0},
    "half": {"density": 0.5},
    "tenth": {"density": 0.1, "dead": 0.2, "others": 0.9, "dead_inputs": 0.3},
    "units": {"density": 0.9, "dead": 0.4, "others": 0.8},
    "extreme": {"density": 0.005, "dead": 0.1, "dead_inputs": 0.5},
}


def small_logits(compact, inputs):
    selected = np.asarray(compact.inputs(jnp.asarray(inputs)))
    return logits(compact.module, compact.params, compact.batch_stats, selected)


@pytest.mark.parametrize(
    ("name", "case"),
    quick(
        *itertools.product(("lenet", "conv2"), CASES),
        *itertools.product(("vgg16", "resnet20"), ("tenth", "extreme")),
        ("resnet_of_signals", "tenth"),
        of=itertools.product((*ZOO, "resnet_of_signals"), CASES),
    ),
)
def test_a_compact_net_is_the_same_function(name, case):
    params, stats = variables(name)
    found = draw_masks(name, 5, **CASES[case])
    compact = shrinking.compact(NETS[name], params, found, stats)
    masked = masks.apply(found, params)
    expected = logits(NETS[name], masked, stats, images(name))
    small = small_logits(compact, images(name))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(small, expected, rtol=2e-4, atol=2e-5 * scale)
    masks.check(compact.masks, compact.params)
    assert_trees_equal(masks.apply(compact.masks, compact.params), compact.params)
    number = sum(p.size for p in jax.tree.leaves(params))
    number_left = sum(p.size for p in jax.tree.leaves(compact.params))
    assert number_left == number if case == "dense" else number_left <= number
    if case == "extreme":
        assert number_left < 0.5 * number


def everything(module, params):
    return sizes(module.layout(), params)


def test_a_net_of_which_nothing_is_left_gives_its_constant_logits():
    for name in ("lenet", "conv2", "resnet20", "vgg16"):
        params, stats = variables(name)
        found = draw_masks(name, 0, density=0.0)
        compact = shrinking.compact(ZOO[name], params, found, stats)
        expected = logits(ZOO[name], masks.apply(found, params), stats, images(name))
        small = small_logits(compact, images(name))
        np.testing.assert_allclose(small, expected, rtol=1e-5, atol=1e-5)
        numbers = everything(compact.module, compact.params)
        tied = {"output"}  # and the streams of ResNet, whose constants stay
        if name == "resnet20":
            tied |= {p for p in numbers if not p.endswith("/conv_0")} - {INPUTS}
        assert all(number == 1 for p, number in numbers.items() if p not in tied)


def hand(kernel, bias):
    return {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.asarray(bias, float)}


def test_a_dense_constant_goes_into_the_next_bias_and_on_through_several_layers():
    # dense_0's second unit is 3, its third relu(-1); dense_1's second is relu(2 * 3 - 1).
    params = {
        "dense_0": hand([[1, 0, 0], [2, 0, 0]], [0.5, 3, -1]),
        "dense_1": hand([[1, 0], [4, 2], [9, 9]], [-1, -1]),
        "output": hand([[1, 2], [10, 20]], [100, 200]),
    }
    found = jax.tree.map(lambda p: jnp.asarray(p) != 0, params)
    module = models.LeNet(hidden_sizes=(3, 2), num_classes=2)
    compact = shrinking.compact(module, params, found)
    assert everything(compact.module, compact.params) == {
        **{INPUTS: 2, "dense_0": 1, "dense_1": 1, "output": 2}
    }
    assert compact.params["dense_1"]["bias"].tolist() == [-1 + 4 * 3]
    assert compact.params["output"]["bias"].tolist() == [100 + 10 * 5, 200 + 20 * 5]
    assert compact.module == module.clone(hidden_sizes=(1, 1))


def test_constant_channels_before_a_padded_convolution_become_one_that_is_1():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(3, 3, 2, 4)), rng.normal(size=(3, 3, 4, 3))
    first[..., 1:] = 0
    params = {
        "conv_0": hand(first, [0.1, 0.7, 1.9, -0.4]),
        "conv_1": hand(second, [0.1, -0.2, 0.3]),
        "output": hand(rng.normal(size=(27, 5)), rng.normal(size=5)),
    }
    found = jax.tree.map(lambda p: jnp.asarray(p) != 0, params)
    module = models.ConvNet(num_classes=5, stages=((4, 3),), hidden_sizes=())
    compact = shrinking.compact(module, params, found)
    assert compact.module.stages == ((2, 3),)
    one = int(compact.params["conv_0"]["bias"].argmax())
    np.testing.assert_array_equal(compact.params["conv_0"]["kernel"][..., one], 0)
    assert compact.params["conv_0"]["bias"][one] == 1
    merged = 0.7 * second[:, :, 1] + 1.9 * second[:, :, 2]
    found = compact.params["conv_1"]["kernel"][:, :, one]
    np.testing.assert_allclose(found, merged, rtol=1e-5)
    assert not compact.masks["conv_0"]["kernel"][..., one].any()
    inputs = rng.normal(size=(2, 6, 6, 2)).astype(np.float32)
    np.testing.assert_allclose(
        small_logits(compact, inputs), logits(module, params, {}, inputs), rtol=1e-4
    )


def test_a_constant_before_a_flattened_dense_layer_goes_into_its_bias():
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 2, 3))
    kernel[..., 1] = 0
    params = {
        "conv_0": hand(kernel, [0.1, 2.0, 0.3]),
        "output": hand(rng.normal(size=(4 * 3, 5)), np.zeros(5)),
    }
    module = models.ConvNet(num_classes=5, stages=((3,),), hidden_sizes=())
    compact = shrinking.compact(module, params, masks.full(params))
    assert compact.module.stages == ((2,),)
    rows = params["output"]["kernel"].reshape(4, 3, 5)
    np.testing.assert_array_equal(
        compact.params["output"]["kernel"], rows[:, [0, 2]].reshape(8, 5)
    )
    np.testing.assert_allclose(
        compact.params["output"]["bias"], 2 * rows[:, 1].sum(0), rtol=1e-5
    )
    inputs = rng.normal(size=(2, 4, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(
        small_logits(compact, inputs), logits(module, params, {}, inputs), rtol=1e-4
    )


def test_a_stream_channel_goes_where_it_is_0_or_unread_in_all_blocks_alone():
    name = "resnet20"
    params, stats = variables(name)
    found = jax.tree.map(lambda p: np.ones(p.shape, bool), params)
    writers = [("conv", "norm")]
    writers += [
        (f"stage_0_block_{i}/conv_1", f"stage_0_block_{i}/norm_1") for i in range(3)
    ]
    leaves = dict(masks.named_leaves(found))  # the same arrays
    for conv, norm in writers:
        leaves[f"{conv}/kernel"][..., 0] = False
        leaves[f"{norm}/scale"][:2] = False
        leaves[f"{norm}/bias"][0] = False
    compact = shrinking.compact(ZOO[name], params, found, stats)
    # Channel 0 is 0; channel 1 is constant.
    before, after = ZOO[name].layout(), compact.module.layout()
    assert before == after
    numbers = everything(compact.module, compact.params)
    whole = everything(ZOO[name], params)
    stream = {"conv", "stage_0_block_0", "stage_0_block_1", "stage_0_block_2"}
    assert {p for p in numbers if numbers[p] != whole[p]} == stream
    assert all(numbers[place] == whole[place] - 1 for place in stream)
    expected = logits(ZOO[name], masks.apply(found, params), stats, images(name))
    small = small_logits(compact, images(name))
    np.testing.assert_allclose(small, expected, rtol=1e-4, atol=1e-4)


def test_inputs_that_nobody_reads_are_left_out_features_or_channels():
    rng = np.random.default_rng(0)
    params = {"output": hand(rng.normal(size=(12, 3)), np.zeros(3))}
    found = jax.tree.map(lambda p: np.ones(p.shape, bool), params)
    found["output"]["kernel"][[0, 5, 6]] = False
    compact = shrinking.compact(
        models.LeNet(num_classes=3, hidden_sizes=()), params, found
    )
    inputs = jnp.asarray(rng.normal(size=(4, 2, 2, 3)))
    kept = [1, 2, 3, 4, 7, 8, 9, 10, 11]
    selected = jax.jit(compact.inputs)(inputs)
    np.testing.assert_array_equal(selected, inputs.reshape(4, 12)[:, kept])
    module = models.ConvNet(num_classes=3, stages=((2,),), hidden_sizes=())
    params = {
        "conv_0": hand(rng.normal(size=(3, 3, 3, 2)), np.zeros(2)),
        "output": hand(rng.normal(size=(2, 3)), np.zeros(3)),
    }
    found = jax.tree.map(lambda p: np.ones(p.shape, bool), params)
    found["conv_0"]["kernel"][:, :, 1] = False
    compact = shrinking.compact(module, params, found)
    np.testing.assert_array_equal(compact.inputs(inputs), inputs[..., [0, 2]])


def test_wrong_input_is_named():
    params, stats = variables("vgg16")
    found = masks.full(params)
    with pytest.raises(ValueError, match="batch_stats: no norm_0/mean"):
        shrinking.compact(ZOO["vgg16"], params, found)
    with pytest.raises(ValueError, match="params: conv_13 is in only one of"):
        shrinking.compact(ZOO["vgg19"], params, found, stats)
    with pytest.raises(AssertionError):
        shrinking.compact(ZOO["vgg16"], params, found["conv_0"], stats)
    with pytest.raises(ValueError, match="params: of 10 classes; must be of 7, as the"):
        shrinking.compact(ZOO["vgg16"].clone(num_classes=7), params, found, stats)


@pytest.mark.parametrize("name", ["conv4", "small_vgg"])
def test_a_compact_net_is_compact_already(name):
    params, stats = variables(name)
    found = draw_masks(name, 5, 0.1, dead=0.2)
    once = shrinking.compact(NETS[name], params, found, stats)
    again = shrinking.compact(once.module, once.params, once.masks, once.batch_stats)
    assert again.module == once.module
    assert_trees_equal(again.masks, once.masks)
    assert_trees_equal(again.params, once.params)
