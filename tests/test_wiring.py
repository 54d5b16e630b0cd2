"""Units in params of four frameworks, told by values and derivatives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.strangers import FRAMEWORKS, KEY, SIZES, positive
from support.tiers import quick

import lth_jax
from lth_jax import masks, shrinking
from lth_jax.layout import INPUTS, Layer, Place, chain
from lth_jax.leaves import Axes
from lth_jax.wiring import sizes, wire


def kernels_of(net, tree):
    """The kernels in the order of the layers, by paths that the layout names."""
    leaves = masks.named_leaves(tree)
    names = [place.name for place in net.layout]
    return [
        next(x for p, x in leaves if p.startswith(f"{n}/") and x.ndim > 1 and x.size > 9)
        for n in names
    ]


def biases_of(net, tree):
    leaves = masks.named_leaves(tree)
    names = [place.name for place in net.layout]
    return [
        next(np.ravel(x) for p, x in leaves if p.startswith(f"{n}/") and x.size in SIZES)
        for n in names
    ]


def assert_live(gradients, found):
    """Masks keep what the logits have a derivative by, where all is above 0."""
    for (path, g), (_, mask) in zip(
        masks.named_leaves(gradients), masks.named_leaves(found), strict=True
    ):
        np.testing.assert_array_equal(np.asarray(g) != 0, np.asarray(mask), path)


@pytest.mark.parametrize("framework", quick("of_equinox", of=FRAMEWORKS))
def test_units_go_with_all_that_reads_them_in_every_framework(framework):
    net = FRAMEWORKS[framework]()
    assert sizes(net.layout, net.params) == dict(
        zip([INPUTS, *(place.name for place in net.layout)], (2, *SIZES), strict=True)
    )
    params = positive(net.params, bias=1.0)
    full = masks.full(params)
    # One depthwise unit, since of a channel that two of them read one is to stay.
    stem, depthwise, up, wide, _ = (place.name for place in net.layout)
    fractions = {stem: 0.5, depthwise: 0.125, up: 0.5, wide: 0.4}
    found = lth_jax.prune_units(params, full, fractions, net.layout)
    pruned = masks.apply(found, params)
    assert_live(net.slopes(pruned), found)
    for fraction, kernel, axis, bias, values in zip(
        fractions.values(),
        kernels_of(net, params),
        net.unit_axes,
        biases_of(net, found),
        net.hidden(pruned),
        strict=False,
    ):
        norms = np.moveaxis(np.asarray(kernel), axis, 0).reshape(bias.size, -1).sum(1)
        gone = np.argsort(norms)[: round(fraction * bias.size)]
        assert np.flatnonzero(~bias).tolist() == sorted(gone)
        np.testing.assert_array_equal(values.any(1), bias)


def draw(net, seed):
    """Masks: of a convolution's channels all pixels or none, of dense layers single."""
    rng = np.random.default_rng(seed)

    def drawn(path, leaf):
        if leaf.size in SIZES:
            return np.ones(leaf.shape, bool)
        if leaf.ndim == 2:
            return rng.random(leaf.shape) < (0.01 if leaf.size > 100 else 0.4)
        pixels_first = leaf.shape[0] == leaf.shape[1]
        shape = (1, 1, *leaf.shape[2:]) if pixels_first else (*leaf.shape[:2], 1, 1)
        return np.broadcast_to(rng.random(shape) < 0.5, leaf.shape)

    leaves = [drawn(*leaf) for leaf in masks.named_leaves(net.params)]
    return jax.tree.unflatten(jax.tree.structure(net.params), leaves)


@pytest.mark.parametrize("framework", quick("of_equinox", of=FRAMEWORKS))
def test_dead_units_are_what_values_and_derivatives_show(framework):
    net = FRAMEWORKS[framework]()
    for seed in range(3):
        found = draw(net, seed)
        reach = shrinking.dead_units(net.layout, found)
        values = net.hidden(masks.apply(found, positive(net.params, bias=0.0)))
        live = masks.apply(found, positive(net.params, bias=1.0))
        gradients = net.slopes(live)
        for place, value, slope in zip(
            net.layout, values, biases_of(net, gradients), strict=False
        ):
            name = place.name
            np.testing.assert_array_equal(reach.from_inputs[name], value.any(1), name)
            np.testing.assert_array_equal(reach.to_output[name], slope != 0, name)
        dead = np.concatenate([~units for units in reach.alive.values()])
        assert 0 < dead.sum() < dead.size


def attention(inputs=8, outputs=6):
    """What an attention layer does to a value: params, and the sum of its logits."""
    rng = np.random.default_rng(0)
    shapes = {
        "value": {"kernel": (inputs, 2, 4), "bias": (2, 4)},
        "out": {"kernel": (2, 4, outputs), "bias": (outputs,)},
    }
    params = jax.tree.map(
        lambda shape: jnp.asarray(rng.uniform(0.5, 1, shape), jnp.float32),
        {"attention": shapes},
        is_leaf=lambda x: isinstance(x, tuple),
    )

    def total(params):
        value, out = params["attention"]["value"], params["attention"]["out"]
        heads = jnp.einsum("i,ihd->hd", jnp.ones(inputs), value["kernel"]) + value["bias"]
        summed = jnp.einsum("hd,hdo->o", jax.nn.relu(heads), out["kernel"])
        return (summed + out["bias"]).sum()

    layout = chain([("attention/value", None), ("attention/out", None)])
    return params, layout, total


def test_the_units_of_attention_are_those_of_all_heads():
    params, layout, total = attention()
    assert sizes(layout, params) == {INPUTS: 8, "attention/value": 8, "attention/out": 6}
    found = lth_jax.prune_units(params, masks.full(params), 0.4, layout)
    assert_live(jax.grad(total)(masks.apply(found, params)), found)
    norms = np.asarray(params["attention"]["value"]["kernel"]).sum(0).ravel()
    kept = np.asarray(found["attention"]["value"]["bias"]).ravel()
    assert np.flatnonzero(~kept).tolist() == sorted(np.argsort(norms)[:3])
    reach = shrinking.dead_units(layout, found)
    np.testing.assert_array_equal(reach.alive["attention/value"], kept)


def test_axes_that_nothing_tells_are_given_by_the_layer():
    rng = np.random.default_rng(0)
    mix = jnp.asarray(rng.uniform(0.5, 1, (3, 4, 2)), jnp.float32)  # units, inputs, units
    params = {"mix": {"kernel": mix}, "out": {"kernel": jnp.ones((6, 2))}}
    with pytest.raises(ValueError, match=r"mix/kernel \[3, 4, 2\] .* Layer axes="):
        lth_jax.prune_units(params, masks.full(params), 0.5, chain([("mix",), ("out",)]))
    layout = chain([("mix", None, Axes((1,), (0, -1))), ("out",)])
    found = lth_jax.prune_units(params, masks.full(params), 0.5, layout)
    kept = np.asarray(found["mix"]["kernel"]).all(1).ravel()
    assert np.flatnonzero(~kept).tolist() == sorted(np.argsort(mix.sum(1).ravel())[:3])
    np.testing.assert_array_equal(np.asarray(found["out"]["kernel"]).all(1), kept)


def test_embeddings_are_read_by_token():
    params = {
        "words": {"embedding": jnp.ones((5, 3))},
        "out": {"kernel": jnp.ones((3, 2))},
    }
    found = masks.full(params)
    found["words"]["embedding"] = found["words"]["embedding"].at[1].set(False)
    layout = chain([("words",), ("out",)])
    reach = shrinking.dead_units(layout, found)
    assert reach.alive[INPUTS].tolist() == [True, False, True, True, True]
    weight = {"words": eqx.nn.Embedding(5, 3, key=KEY), "out": params["out"]}
    assert sizes(layout, eqx.filter(weight, eqx.is_inexact_array))[INPUTS] == 5


def dense(*shape):
    return {"kernel": jnp.ones(shape), "bias": jnp.ones(shape[-1])}


WRONG_PARAMS = {
    "rate is in only": {"a": dense(2, 4), "b": dense(4, 3), "rate": jnp.ones(2)},
    "params: b is in only": {"a": dense(2, 4)},
    r"b/kernel is \(5, 3\)": {"a": dense(2, 4), "b": dense(5, 3)},
    r"b/kernel is \(3, 3, 3, 6\)": {"a": dense(2, 4), "b": dense(3, 3, 3, 6)},
    "a has 2 kernels": {"a": dense(2, 4) | {"other": jnp.ones((2, 4))}, "b": dense(4, 3)},
    "a has 0 kernels": {"a": {"bias": jnp.ones(4)}, "b": dense(4, 3)},
    r"a/bias is \(3,\)": {"a": dense(2, 4) | {"bias": jnp.ones(3)}, "b": dense(4, 3)},
    r"a/kernel is \(0, 4\)": {"a": dense(0, 4), "b": dense(4, 3)},
}


@pytest.mark.parametrize("words", WRONG_PARAMS)
def test_params_that_are_not_the_layouts_are_refused_by_name(words):
    with pytest.raises(ValueError, match=words):
        wire(chain([("a",), ("b",)]), WRONG_PARAMS[words])


def place(name, reads, skip=None):
    return Place(name, (Layer(name, reads),), skip)


WRONG_LAYOUTS = {
    "layout: list; must be a tuple": ["a", "b"],
    "layout: NoneType; must": None,
    "layout: no place": (),
    "a reads 'b'; must be one of the places before it": (
        place("a", "b"),
        place("b", INPUTS),
    ),
    "b reads 'c'; must": (place("a", INPUTS), place("b", "a", skip="c")),
    "place 'a'; must have a layer": (place("a", INPUTS), Place("a", (Layer("b", "a"),))),
    "place 'b'; must have a layer": (place("a", INPUTS), Place("b", ())),
    "layer 'a' is there twice": (place("a", INPUTS), Place("b", (Layer("a", "a"),))),
}


@pytest.mark.parametrize("words", WRONG_LAYOUTS)
def test_a_layout_that_is_none_is_refused_by_name(words):
    params = {"a": dense(2, 4), "b": dense(4, 3)}
    for use in (wire, shrinking.dead_units):
        with pytest.raises(ValueError, match=words):
            use(WRONG_LAYOUTS[words], params)
