import re

import jax
import jax.numpy as jnp
import pytest

import lth_jax
from lth_jax import masks, models
from lth_jax.layout import (
    INPUTS,
    Layer,
    Place,
    chain,
    free_places,
    readers,
    streams,
)
from lth_jax.wiring import sizes

COLOUR = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)


def shapes(module, inputs=COLOUR):
    network = lth_jax.from_linen(module, inputs)
    params, stats = jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree.map(
        lambda leaf: leaf.shape, dict(masks.named_leaves((params, stats)))
    )


def params_of(module):
    return jax.eval_shape(lth_jax.from_linen(module, COLOUR).init, jax.random.key(0))[0]


@pytest.mark.parametrize("name", models.MODELS)
def test_resized_to_its_own_sizes_a_net_is_the_same(name):
    module = models.MODELS[name](width=0.1)
    found = sizes(module.layout(), params_of(module))
    assert found[module.layout()[-1].name] == 10
    assert found[INPUTS] == (3072 if name == "lenet" else 3)
    assert shapes(module.resized(found)) == shapes(module)


@pytest.mark.parametrize("name", models.MODELS)
def test_resized_by_one_place_only_what_touches_it_changes(name):
    module = models.MODELS[name](width=0.1)
    layout, whole = module.layout(), shapes(module)
    for place in free_places(layout):
        resized = sizes(layout, params_of(module)) | {place.name: 7}
        changed = {p for p, s in shapes(module.resized(resized)).items() if s != whole[p]}
        layers = {layer.name for layer in place.layers}
        layers |= {layer.norm for layer in place.layers}
        layers |= {layer.name for layer, _ in readers(layout, place.name)}
        assert all(any(f"/{layer}/" in path for layer in layers) for path in changed)
        assert len(changed) >= 2


def test_a_residual_net_has_a_stream_for_each_stage_and_free_inner_channels():
    layout = models.ResNet(channels=(2, 3), num_blocks=2).layout()
    assert streams(layout) == {
        INPUTS: INPUTS,
        "conv": "conv",
        "stage_0_block_0/conv_0": "stage_0_block_0/conv_0",
        "stage_0_block_0": "conv",
        "stage_0_block_1/conv_0": "stage_0_block_1/conv_0",
        "stage_0_block_1": "conv",
        "stage_1_block_0/conv_0": "stage_1_block_0/conv_0",
        "stage_1_block_0": "stage_1_block_0",
        "stage_1_block_1/conv_0": "stage_1_block_1/conv_0",
        "stage_1_block_1": "stage_1_block_0",
        "output": "output",
    }
    assert [place.name for place in free_places(layout)] == [
        f"stage_{stage}_block_{block}/conv_0" for stage in (0, 1) for block in (0, 1)
    ]
    assert [target for _, target in readers(layout, "stage_0_block_1")] == [
        "stage_1_block_0/conv_0",
        "stage_1_block_0",
    ]


def test_the_layers_of_a_plain_net_read_each_other_in_turn():
    layout = models.VGG(convolutions=(1, 1), channels=(4, (5,))).layout()
    assert layout == (
        Place("conv_0", (Layer("conv_0", INPUTS, "norm_0"),)),
        Place("conv_1", (Layer("conv_1", "conv_0", "norm_1"),)),
        Place("output", (Layer("output", "conv_1"),)),
    )


def test_vgg_and_resnet_take_channels_of_each_convolution():
    vgg = shapes(models.VGG(convolutions=(2, 1), channels=((3, 4), 5)))
    assert [vgg[f"0/conv_{i}/kernel"][-1] for i in range(3)] == [3, 4, 5]
    module = models.ResNet(
        channels=(4, 8), num_blocks=2, inner_channels=((1, 2), (3, 5)), width=2.0
    )
    resnet = shapes(module)
    for stage, inner in enumerate(((2, 4), (6, 10))):
        for block, number in enumerate(inner):
            name = f"0/stage_{stage}_block_{block}"
            assert resnet[f"{name}/conv_0/kernel"][-1] == number
            assert resnet[f"{name}/conv_1/kernel"][-2:] == (number, 8 * (stage + 1))


def test_params_of_another_net_are_refused_by_name():
    params = params_of(models.MODELS["conv2"](width=0.1))
    with pytest.raises(ValueError, match="params: conv_2 is in only one of"):
        sizes(models.MODELS["conv4"]().layout(), params)
    layout = chain((name, None) for name in ("a", "b"))
    wrong = {"a": {"kernel": jnp.zeros((2, 3))}, "b": {"kernel": jnp.zeros((4, 5))}}
    with pytest.raises(ValueError, match=re.escape("params: b/kernel is (4, 5)")):
        sizes(layout, wrong)
    # Twice the rows are two pixels to a dense layer alone.
    kernels = {"a": jnp.zeros((3, 3, 2, 4)), "b": jnp.zeros((3, 3, 8, 5))}
    wrong = {name: {"kernel": kernel} for name, kernel in kernels.items()}
    with pytest.raises(ValueError, match=re.escape("params: b/kernel is (3, 3, 8, 5)")):
        sizes(layout, wrong)
    wrong["b"] = {"kernel": jnp.zeros((8, 5))}
    assert sizes(layout, wrong) == {INPUTS: 2, "a": 4, "b": 5}
