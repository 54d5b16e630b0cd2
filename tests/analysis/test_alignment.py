"""Alignment of nets with permuted units, and of nets with nothing in common."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from support.tiers import quick
from support.trees import assert_trees_equal
from support.zoo import NETS, draw_masks, images, logits, variables

from lth_jax.analysis.alignment import align, identity, places_of, rearrange
from lth_jax.layout import INPUTS, Layer, Place, chain

SHUFFLED = ("lenet", "conv2", "small_vgg", "small_resnet", "resnet20")


def shuffled(layout, params, seed):
    """Hidden units of each stream in another order."""
    rng = np.random.default_rng(seed)
    fixed = INPUTS, layout[-1].name
    units = identity(layout, params)
    return {s: x if s in fixed else rng.permutation(x) for s, x in units.items()}


def cosine(a, b):
    a, b = (np.asarray(ravel_pytree(net)[0], float) for net in (a, b))
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize("name", quick("lenet", "small_resnet", of=SHUFFLED))
def test_a_net_whose_units_changed_places_is_aligned_back(name):
    params, stats = variables(name)
    layout, kept = NETS[name].layout(), draw_masks(name, 3, 0.3)
    units = shuffled(layout, params, 1)
    moved = rearrange(params, places_of(layout, params, units))
    moved_stats = rearrange(stats, places_of(layout, params, units, stats))
    moved_kept = rearrange(kept, places_of(layout, params, units))
    expected = logits(NETS[name], params, stats, images(name))
    tolerance = 1e-5 * np.abs(expected).max()
    same = logits(NETS[name], moved, moved_stats, images(name))
    np.testing.assert_allclose(same, expected, rtol=1e-5, atol=tolerance)
    found = align(layout, params, moved)
    back = places_of(layout, params, found.units)
    assert_trees_equal(rearrange(moved, back), jax.tree.map(jnp.asarray, params))
    assert_trees_equal(rearrange(moved_kept, back), jax.tree.map(jnp.asarray, kept))
    own = places_of(layout, params, found.units, stats)
    assert_trees_equal(rearrange(moved_stats, own), jax.tree.map(jnp.asarray, stats))
    for stream, order in found.units.items():
        np.testing.assert_array_equal(units[stream][order], np.arange(order.size))
    assert found.similarity[-1] == pytest.approx(1)


@pytest.mark.parametrize("name", quick("small_resnet", of=SHUFFLED[:-1]))
def test_similarity_never_decreases_and_is_that_of_the_nets(name):
    params, _ = variables(name)
    layout, rng = NETS[name].layout(), np.random.default_rng(0)
    other = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), params)
    found = align(layout, params, other)
    assert len(found.similarity) > 1 and min(np.diff(found.similarity)) > 0
    aligned = rearrange(other, places_of(layout, params, found.units))
    for net, said in ((other, found.similarity[0]), (aligned, found.similarity[-1])):
        assert said == pytest.approx(cosine(params, net), abs=1e-6)


def test_of_one_hidden_layer_no_other_order_is_nearer():
    """All orders of four units are tried."""
    rng = np.random.default_rng(2)
    layout = chain([("a",), ("b",)])

    def net():
        kernels = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
        return {"a": {"kernel": kernels[0]}, "b": {"kernel": kernels[1]}}

    ours, theirs = net(), net()
    each = {
        order: (ours["a"]["kernel"] * theirs["a"]["kernel"][:, order]).sum()
        + (ours["b"]["kernel"] * theirs["b"]["kernel"][list(order)]).sum()
        for order in itertools.permutations(range(4))
    }
    found = align(layout, ours, theirs)
    assert tuple(found.units["a"]) == max(each, key=each.get)
    lengths = [np.linalg.norm(ravel_pytree(x)[0]) for x in (ours, theirs)]
    best = max(each.values()) / np.prod(lengths)
    assert found.similarity[-1] == pytest.approx(best, rel=1e-6)


def test_nets_are_rearranged_compiled_and_over_members():
    params, _ = variables("lenet")
    layout = NETS["lenet"].layout()
    places = [
        places_of(layout, params, shuffled(layout, params, seed)) for seed in range(2)
    ]
    both = jax.tree.map(lambda *x: np.stack(x), *places)
    found = jax.jit(jax.vmap(rearrange, (None, 0)))(params, both)
    for at, own in enumerate(places):
        member = jax.tree.map(lambda x, at=at: x[at], found)
        assert_trees_equal(member, rearrange(params, own))


def test_what_is_0_in_the_source_stays_where_it_is():
    params, _ = variables("conv2")
    layout = NETS["conv2"].layout()
    found = align(layout, params, jax.tree.map(np.zeros_like, params))
    assert found.similarity == (0.0,)
    assert_trees_equal(dict(found.units), identity(layout, params))


def test_a_layer_that_reads_the_stream_it_writes_to_makes_nothing_worse():
    """The similarity is then quadratic in the order of units."""
    layout = (
        Place("in", (Layer("in", INPUTS),)),
        Place("block", (Layer("block", "in"),), skip="in"),
        Place("out", (Layer("out", "block"),)),
    )
    for seed in range(5):
        rng = np.random.default_rng(seed)
        sizes = {"in": (4, 6), "block": (6, 6), "out": (6, 3)}
        ours, theirs = (
            {name: {"kernel": rng.normal(size=size)} for name, size in sizes.items()}
            for _ in range(2)
        )
        assert (np.diff(align(layout, ours, theirs).similarity) > 0).all()
        units = shuffled(layout, ours, seed)
        moved = rearrange(ours, places_of(layout, ours, units))
        back = align(layout, ours, moved).units["in"]
        np.testing.assert_array_equal(units["in"][back], np.arange(6))


def test_errors_name_what_cannot_be_aligned():
    shapes = {"a": (3, 3, 2, 4), "depthwise": (3, 3, 1, 4), "out": (4, 2)}
    net = {name: {"kernel": np.ones(shape)} for name, shape in shapes.items()}
    layout = chain([(name,) for name in net])
    with pytest.raises(ValueError, match=r"layout: depthwise has 4 groups; grouped"):
        align(layout, net, net)
    params, _ = variables("lenet")
    layout = NETS["lenet"].layout()
    other = jax.tree.map(lambda x: x[..., :-1], params)
    with pytest.raises(ValueError, match=r"source: dense_0/bias is \(.*the target's is"):
        align(layout, params, other)
    with pytest.raises(ValueError, match=r"tree: rate is .* it fits no layer's units"):
        units = identity(layout, params)
        places_of(layout, params, units, {"rate": np.ones(3)})
