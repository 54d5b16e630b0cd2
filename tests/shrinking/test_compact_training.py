import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.compact import NUM_STEPS, assert_close, start, train
from support.tiers import quick
from support.trees import assert_trees_equal
from support.zoo import NETS, draw_masks, images, logits, variables

import lth_jax
from lth_jax import masks, models, shrinking, training
from lth_jax.layout import INPUTS
from lth_jax.wiring import sizes


@pytest.mark.parametrize(
    "name",
    quick("small_vgg", of=["lenet", "conv2", "small_vgg", "small_resnet"]),
)
def test_a_compact_nets_steps_expanded_are_the_masked_nets(name):
    structured = draw_masks(name, 2, 0.6, dead=0.3, others=1.0, dead_inputs=0.4)
    scores = jax.tree.map(jnp.abs, variables(name)[0])
    found = lth_jax.prune_units(scores, structured, 0.3, NETS[name].layout())
    # Where normalisation takes a channel's gradient away up to rounding, Adam with its
    # usual epsilon of 1e-8 makes whole steps of that rounding.
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3, eps=1e-3))
    state = start(name, found, tx)
    net = shrinking.compact_for_training(NETS[name], state, found, tx)
    numbers, whole = (
        sizes(NETS[name].layout(), p) for p in (net.state.params, state.params)
    )
    assert sum(numbers.values()) < 0.9 * sum(whole.values())
    inputs = jnp.asarray(images(name, NUM_STEPS * 8))
    labels = jnp.arange(NUM_STEPS * 8) % 10
    expected, losses = train(NETS[name], state, found, tx, inputs, labels)
    small, small_losses = train(
        net.module, net.state, net.masks, tx, net.inputs(inputs), labels
    )
    np.testing.assert_allclose(small_losses, losses, rtol=1e-4)
    expanded = net.expand(small)
    assert int(expanded.step) == NUM_STEPS
    assert_close(expanded.params, expected.params, atol=2e-6)
    assert_close(expanded.opt_state, expected.opt_state, atol=1e-5)
    assert_trees_equal(masks.apply(found, expanded.params), expanded.params)
    moved = jax.tree.map(lambda a, b: jnp.any(a != b), expanded.params, state.params)
    assert any(jax.tree.leaves(moved))
    # Statistics that reach no logit are the only ones that may differ.
    reach = shrinking.dead_units(NETS[name].layout(), found)
    for place in NETS[name].layout():
        for layer in [layer for layer in place.layers if layer.norm]:
            kept = net.selection.units[place.name]
            kept = kept[reach.alive[place.name][kept]]
            for kind in ("mean", "var"):
                got, want = (
                    dict(masks.named_leaves(s.batch_stats))[f"{layer.norm}/{kind}"]
                    for s in (expanded, expected)
                )
                np.testing.assert_allclose(got[kept], want[kept], rtol=1e-3, atol=1e-4)


def test_units_with_a_bias_to_train_stay_and_those_that_are_0_for_ever_go():
    params = {
        "dense_0": {"kernel": jnp.ones((3, 4)), "bias": jnp.full(4, 0.5)},
        "output": {"kernel": jnp.ones((4, 2)), "bias": jnp.zeros(2)},
    }
    found = masks.full(params)
    kernel, bias = np.ones((3, 4), bool), np.ones(4, bool)
    kernel[:, :2] = False  # the first has its bias, the second nothing
    kernel[2] = False
    bias[1] = False
    found["dense_0"] = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
    found["output"]["kernel"] = found["output"]["kernel"].at[3].set(False)
    module = models.LeNet(hidden_sizes=(4,), num_classes=2)
    tx = optax.sgd(0.1)
    net = shrinking.compact_for_training(
        module, lth_jax.initial_state(params, tx), found, tx
    )
    assert net.module.hidden_sizes == (2,)
    assert net.selection.units["dense_0"].tolist() == [0, 2]
    assert net.selection.units[INPUTS].tolist() == [0, 1]


def without_a_class(found):
    """Masks that leave nothing of the logit 4."""
    found["output"]["kernel"][:, 4] = False
    found["output"]["bias"][4] = False
    return found


@pytest.mark.parametrize("name", ["lenet", "small_vgg", "small_resnet"])
def test_a_class_of_which_nothing_is_left_keeps_its_logit(name):
    found = without_a_class(draw_masks(name, 3, 0.3, dead=0.3, dead_inputs=0.4))
    tx = optax.adam(1e-3)
    state = start(name, found, tx)
    net = shrinking.compact_for_training(NETS[name], state, found, tx)
    expected = logits(NETS[name], state.params, state.batch_stats, images(name))
    inputs = net.inputs(jnp.asarray(images(name)))
    small = logits(net.module, net.state.params, net.state.batch_stats, inputs)
    np.testing.assert_allclose(small, expected, rtol=1e-4, atol=1e-5)
    assert small.shape == (3, 10) and not small[:, 4].any()
    assert_trees_equal(net.expand(net.state), state)


@pytest.mark.parametrize(
    ("scale", "offset", "stays"),
    [(True, True, True), (False, True, True), (True, False, True), (False, False, False)],
)
def test_a_normalised_unit_goes_with_scale_and_offset_alone(scale, offset, stays):
    module = models.VGG(convolutions=(1,), channels=(2,), num_classes=2)
    network = lth_jax.from_linen(module, jnp.zeros((1, 4, 4, 1)))
    params, stats = network.init(jax.random.key(0))
    found = masks.full(params)
    found["conv_0"]["kernel"] = found["conv_0"]["kernel"].at[..., 1].set(False)
    for leaf, kept in (("scale", scale), ("bias", offset)):
        found["norm_0"][leaf] = found["norm_0"][leaf].at[1].set(kept)
    tx = optax.sgd(0.1)
    state = lth_jax.initial_state(params, tx, stats)
    net = shrinking.compact_for_training(module, state, found, tx)
    assert net.module.channels == ((1 + stays,),)


def test_expanding_at_the_start_gives_the_start():
    tx = optax.adam(1e-3)
    found = draw_masks("small_resnet", 3, 0.3, dead=0.3, others=0.7)
    state = start("small_resnet", found, tx)
    filled = jax.tree.map(lambda x: x + 1, state.opt_state)  # moments and all
    state = training.project(
        training.TrainState(jnp.int32(7), state.params, state.batch_stats, filled),
        found,
        tx,
    )
    net = shrinking.compact_for_training(NETS["small_resnet"], state, found, tx)
    assert_trees_equal(net.expand(net.state), state)
    assert_trees_equal(net.selection.take(found), jax.device_get(net.masks))


def test_moments_of_other_shapes_than_the_params_are_refused():
    found = draw_masks("lenet", 3, 0.3)
    tx = optax.GradientTransformation(
        lambda params: jax.tree.map(lambda p: jnp.zeros(p.shape[:1]), params),
        lambda updates, state, params=None: (updates, state),
    )
    state = start("lenet", found, tx)
    with pytest.raises(ValueError, match=r"opt_state: a moment of dense_0/kernel is"):
        shrinking.compact_for_training(NETS["lenet"], state, found, tx)
