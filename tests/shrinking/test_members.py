"""Several members' smaller nets of one shape, beside their masked ones."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.compact import NUM_STEPS, assert_close, start, train
from support.tiers import quick
from support.trees import assert_trees_equal
from support.zoo import NETS, draw_masks, images, logits

import lth_jax
from lth_jax import masks, shrinking
from lth_jax.layout import streams
from lth_jax.shrinking.training import needed_units
from lth_jax.wiring import sizes

TX = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3, eps=1e-3))


def stacked(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def member(tree, m):
    return jax.tree.map(lambda x: x[m], tree)


def two_members(name):
    """Two that need other units, and not equally many."""
    found = [
        draw_masks(name, seed, 0.6, dead=dead, others=0.0, dead_inputs=dead_inputs)
        for seed, dead, dead_inputs in ((2, 0.5, 0.5), (3, 0.2, 0.3))
    ]
    return stacked([start(name, own, TX) for own in found]), stacked(found)


@pytest.mark.parametrize(
    "name",
    quick("small_vgg", of=["lenet", "conv2", "small_vgg", "small_resnet"]),
)
def test_members_of_one_shape_train_as_their_masked_nets(name):
    states, found = two_members(name)
    compact = shrinking.compact_members(NETS[name], states, found, TX)
    assert compact.kept is not None
    small, large = (
        sum(x.size for x in jax.tree.leaves(s.params)) for s in (compact.states, states)
    )
    assert small < 0.8 * large
    inputs = jnp.asarray(images(name, NUM_STEPS * 8))
    labels = jnp.arange(NUM_STEPS * 8) % 10
    batches = jnp.arange(NUM_STEPS * 8).reshape(NUM_STEPS, 8)
    network = lth_jax.from_linen(NETS[name], inputs)

    @jax.jit
    @jax.vmap
    def small_steps(state, own, kept):
        choose = shrinking.InputSelection(kept, compact.is_flat)
        apply = network.remade(compact.module, choose).apply
        examples = lth_jax.Examples(inputs, labels)
        return lth_jax.make_steps(apply, TX)(state, own, batches, examples)

    small, small_losses = small_steps(compact.states, compact.masks, compact.kept)
    expanded = compact.expand(small)
    for m in range(2):
        own = member(found, m)
        expected, losses = train(NETS[name], member(states, m), own, TX, inputs, labels)
        np.testing.assert_allclose(small_losses[m], losses, rtol=1e-4)
        assert int(expanded.step[m]) == NUM_STEPS
        assert_close(member(expanded.params, m), expected.params, atol=2e-6)
        assert_close(member(expanded.opt_state, m), expected.opt_state, atol=1e-5)
    assert_trees_equal(masks.apply(found, expanded.params), expanded.params)


@pytest.mark.parametrize("name", ["lenet", "small_resnet"])
def test_each_has_what_it_needs_and_the_size_of_the_largest(name):
    states, found = two_members(name)
    compact = shrinking.compact_members(NETS[name], states, found, TX)
    layout = NETS[name].layout()
    needed = [needed_units(layout, jax.device_get(member(found, m))) for m in range(2)]
    stream_of = streams(layout)
    for place, size in compact.selections[0].sizes.items():
        # A stream has what any of its places needs.
        together = [
            np.any([own[p] for p in stream_of if stream_of[p] == stream_of[place]], 0)
            for own in needed
        ]
        assert size == max(1, *(own.sum() for own in together))
        for selection, own in zip(compact.selections, together, strict=True):
            units = selection.units[place]
            assert len(set(units)) == size
            assert set(np.flatnonzero(own)) <= set(units)
            assert units.tolist() == sorted(units)
            assert (units == selection.units[stream_of[place]]).all()
    small = sizes(layout, member(compact.states.params, 0))
    assert small == compact.selections[0].sizes


@pytest.mark.parametrize("name", ["lenet", "small_resnet"])
def test_a_class_of_which_nothing_is_left_keeps_its_logit(name):
    states, found = two_members(name)
    found = jax.tree.map(np.array, found)
    found["output"]["kernel"][:, :, 4] = False
    found["output"]["bias"][:, 4] = False
    compact = shrinking.compact_members(NETS[name], states, found, TX)
    for m in range(2):
        own = member(masks.apply(found, states.params), m)
        expected = logits(NETS[name], own, member(states.batch_stats, m), images(name))
        choose = shrinking.InputSelection(compact.kept[m], compact.is_flat)
        small = member(compact.states, m)
        inputs = choose(jnp.asarray(images(name)))
        got = logits(compact.module, small.params, small.batch_stats, inputs)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
        assert got.shape == (3, 10) and not got[:, 4].any()


def test_expanding_at_the_start_gives_the_start():
    states, found = two_members("small_resnet")
    filled = jax.tree.map(lambda x: x + 1, states.opt_state)
    project = functools.partial(lth_jax.training.project, tx=TX)
    states = jax.vmap(project)(states.replace(opt_state=filled), found)
    compact = shrinking.compact_members(NETS["small_resnet"], states, found, TX)
    assert_trees_equal(compact.expand(compact.states), jax.device_get(states))


def test_nothing_smaller_comes_of_full_masks():
    states, found = two_members("lenet")
    full = jax.tree.map(jnp.ones_like, found)
    compact = shrinking.compact_members(NETS["lenet"], states, full, TX)
    assert compact.kept is None
    assert compact.selections[0].sizes == compact.selections[0].numbers
    assert_trees_equal(jax.device_get(compact.states), jax.device_get(states))


@pytest.mark.parametrize(("read", "left_out"), [(576, True), (577, False)])
def test_inputs_are_left_out_where_a_quarter_is_not_read(read, left_out):
    states, found = two_members("lenet")
    full = jax.device_get(jax.tree.map(np.ones_like, found))
    full["dense_0"]["kernel"][0, 500:] = False
    full["dense_0"]["kernel"][1, read:] = False
    compact = shrinking.compact_members(NETS["lenet"], states, full, TX)
    if left_out:
        assert compact.kept.tolist() == [list(range(576))] * 2
    else:
        assert compact.kept is None
