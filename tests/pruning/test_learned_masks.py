"""Masks that are learned, of weights that are not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.tiers import quick
from support.trees import assert_trees_equal
from support.zoo import NormNet

import lth_jax
from lth_jax import masks, pruning, sampling
from lth_jax.pruning.criteria import edge_popup, evaluate_untrained, supermask
from lth_jax.pruning.criteria.edge_popup import top_mask
from lth_jax.pruning.criteria.supermask import bernoulli_mask

KEY = jax.random.key(11)
BATCHES = sampling.batch_indices(
    jax.random.key(5), 0, 150, batch_size=30, num_examples=210
)
METHODS = {
    "supermask": supermask,
    "rescaled": lambda *a, **k: supermask(*a, rescale=True, **k),
    "edge_popup": edge_popup,
}


@pytest.fixture(scope="module")
def norm_net():
    return lth_jax.from_linen(NormNet(), jax.ShapeDtypeStruct((1, 12), jnp.float32))


def learn(name, net, params, stats, examples, batches=BATCHES, key=KEY):
    return METHODS[name](net.apply, params, stats, batches, examples, key)


def test_a_drawn_mask_has_the_gradient_of_its_probabilities():
    scores = jax.random.normal(jax.random.key(2), (40, 50))
    weights = jax.random.normal(jax.random.key(1), scores.shape)

    def loss(scores):
        return jnp.sum((weights * bernoulli_mask(KEY, scores)) ** 2)

    mask = np.asarray(bernoulli_mask(KEY, scores))
    assert set(np.unique(mask)) == {0, 1}
    p = 1 / (1 + np.exp(-np.float64(scores)))
    np.testing.assert_allclose(mask.mean(), p.mean(), atol=0.03)
    assert np.corrcoef(mask.ravel(), p.ravel())[0, 1] > 0.3
    # d/dm (w b)^2 = 2 w^2 b * db/dm, where db/dm is taken to be p (1 - p).
    expected = 2 * np.float64(weights) ** 2 * mask * p * (1 - p)
    np.testing.assert_allclose(jax.grad(loss)(scores), expected, rtol=1e-4, atol=1e-6)


def test_a_top_mask_keeps_exact_counts_and_has_the_gradient_of_magnitudes():
    scores = jax.random.normal(KEY, (7, 11))
    cotangent = jax.random.normal(jax.random.key(1), scores.shape)
    for density in (0.1, 0.5, 0.77):
        count = round(density * 77)
        mask, gradient = jax.vjp(lambda s, n=count: top_mask(s, n), scores)
        assert set(np.unique(mask)) == {0, 1}
        assert mask.sum() == count
        kept = np.abs(scores)[np.asarray(mask) == 1]
        assert kept.min() > np.abs(scores)[np.asarray(mask) == 0].max()
        expected = np.asarray(cotangent) * np.sign(scores)
        np.testing.assert_array_equal(gradient(cotangent)[0], expected)


@functools.partial(jax.jit, static_argnums=0)
def oracle_step(apply_fn, params, effective, slope, batch, examples):
    """Gradients of scores by the chain rule: those of the masked weights, by hand on."""

    def loss(weights):
        logits, _ = apply_fn(weights, {}, examples.inputs[batch], True, None)
        return optax.losses.softmax_cross_entropy_with_integer_labels(
            logits, examples.labels[batch]
        ).mean()

    gradients = jax.grad(loss)(effective)
    return jax.tree.map(lambda g, w, d: g * w * d, gradients, params, slope)


def test_supermask_agrees_with_steps_by_hand(network, params, examples):
    found = learn("supermask", network, params, {}, examples, BATCHES[:3])
    scores = velocity = jax.tree.map(jnp.zeros_like, params)
    is_kernel = jax.tree.map(lambda p: p.ndim == 2, params)

    @jax.jit
    def draw(t, scores):
        mask_key, _ = jax.random.split(jax.random.fold_in(KEY, t))
        leaves, structure = jax.tree.flatten(scores)
        drawn = jax.tree.unflatten(
            structure,
            [
                jax.random.bernoulli(jax.random.fold_in(mask_key, i), jax.nn.sigmoid(s))
                for i, s in enumerate(leaves)
            ],
        )
        effective = jax.tree.map(
            lambda p, b, k: p * b if k else p, params, drawn, is_kernel
        )
        slope = jax.tree.map(
            lambda s, k: jax.nn.sigmoid(s) * (1 - jax.nn.sigmoid(s)) * k,
            scores,
            is_kernel,
        )
        return effective, slope

    for t, batch in enumerate(BATCHES[:3]):
        effective, slope = draw(t, scores)
        gradients = oracle_step(network.apply, params, effective, slope, batch, examples)
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, gradients)
        scores = jax.tree.map(lambda s, v: s - 100 * v, scores, velocity)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
        found.scores,
        scores,
    )


def test_edge_popup_agrees_with_steps_by_hand(network, params, examples):
    num_steps = 3
    batches = BATCHES[:num_steps]
    first = edge_popup(
        network.apply, params, {}, batches, examples, KEY, learning_rate=0.0
    ).scores
    found = learn("edge_popup", network, params, {}, examples, batches).scores
    for name, layer in first.items():
        bound = 1 / np.sqrt(layer["kernel"].shape[0])
        assert 0.9 * bound < layer["kernel"].max() <= bound
        assert not layer["bias"].any(), name
    # The signs of scores do not matter: all here is the same for s and -s.
    scores, velocity = first, jax.tree.map(jnp.zeros_like, first)
    for t, batch in enumerate(BATCHES[:num_steps]):
        kept = pruning.prune_to_density(
            jax.tree.map(jnp.abs, scores), masks.full(params), 0.5
        )
        slope = jax.tree.map(
            lambda s: jnp.where(s < 0, -1.0, 1.0) * (s.ndim == 2), scores
        )
        effective = masks.apply(kept, params)
        gradients = oracle_step(network.apply, params, effective, slope, batch, examples)
        rate = 0.1 * (1 + np.cos(np.pi * t / num_steps)) / 2
        velocity = jax.tree.map(
            lambda v, g, s: 0.9 * v + g + 1e-4 * s, velocity, gradients, scores
        )
        scores = jax.tree.map(lambda s, v, r=rate: s - r * v, scores, velocity)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, np.abs(b), rtol=1e-4, atol=1e-5),
        found,
        scores,
    )


def test_rescaling_makes_up_for_what_is_pruned(network, params, half_masks, examples):
    found = evaluate_untrained(
        network.apply, params, half_masks, {}, examples, rescale=True
    )
    scaled = jax.tree.map(lambda p, m: p * m / m.mean(), params, half_masks)
    dense = masks.full(params)
    expected = evaluate_untrained(network.apply, scaled, dense, {}, examples)
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-5)
    plain = evaluate_untrained(network.apply, params, half_masks, {}, examples)
    assert abs(found["loss"] - plain["loss"]) > 1e-3
    assert found["accuracy"] == plain["accuracy"]  # since the biases are 0


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_learned_mask_beats_random_ones_of_its_density(name, examples):
    """Of a wide net, none of whose weights is trained."""
    net = lth_jax.from_linen(
        lth_jax.LeNet(hidden_sizes=(64, 32)), jax.ShapeDtypeStruct((1, 12), jnp.float32)
    )
    params, _ = net.init(jax.random.key(2))
    before = jax.tree.map(np.array, params)
    scores, stats = jax.jit(
        lambda batches, key: METHODS[name](net.apply, params, {}, batches, examples, key)
    )(np.concatenate([BATCHES] * 2), KEY)
    assert_trees_equal(params, before)
    assert not jax.tree.leaves(stats)
    dense = masks.full(params)
    kept = pruning.prune_to_density(scores, dense, 0.5)
    for count in masks.layer_counts(kept).values():
        assert count.kept == round(0.5 * count.total)

    def accuracy(kept):
        found = evaluate_untrained(net.apply, params, kept, {}, examples)
        return float(found["accuracy"])

    others = [
        pruning.prune_to_density(
            jax.tree.map(
                lambda p, s=seed: jax.random.uniform(jax.random.key(s), p.shape), params
            ),
            dense,
            0.5,
        )
        for seed in range(5)
    ]
    assert accuracy(kept) > max(map(accuracy, others)) + 0.2
    assert accuracy(kept) > 0.4


@pytest.mark.parametrize("name", quick("edge_popup", of=METHODS))
def test_a_net_with_batch_normalisation_over_members(name, norm_net, examples):
    batches = BATCHES[:20]

    def one(key):
        init_key, key = jax.random.split(key)
        params, stats = norm_net.init(init_key)
        return params, learn(name, norm_net, params, stats, examples, batches, key)

    keys = jax.random.split(KEY, 2)
    params, found = jax.jit(jax.vmap(one))(keys)
    assert jax.tree.structure(found.scores) == jax.tree.structure(params)
    for i, key in enumerate(keys):
        own, alone = jax.jit(one)(key)
        assert_trees_equal(alone, jax.jit(one)(key)[1])
        jax.tree.map(
            lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=2e-2, atol=2e-2),
            found.scores["output"],
            alone.scores["output"],
        )
        assert (alone.batch_stats["norm"]["mean"] != 0).any()
        assert not alone.scores["norm"]["scale"].any()
        kept = pruning.prune_to_density(alone.scores, masks.full(own), 0.3)
        assert masks.density(kept) == pytest.approx(0.3, abs=0.01)
        metrics = evaluate_untrained(
            norm_net.apply, own, kept, alone.batch_stats, examples
        )
        assert np.isfinite(metrics["loss"])
    assert (
        found.scores["output"]["kernel"][0] != found.scores["output"]["kernel"][1]
    ).any()


def test_layers_that_are_never_pruned_have_no_scores(network, params, examples):
    for method in (supermask, edge_popup):
        found = method(
            network.apply,
            params,
            {},
            BATCHES[:5],
            examples,
            KEY,
            prunable=masks.excluding(["output"]),
        )
        assert not found.scores["output"]["kernel"].any()
        assert found.scores["dense_0"]["kernel"].any()


def test_a_density_of_nothing_or_all_is_refused(network, params, examples):
    for density in (0, 1):
        with pytest.raises(ValueError, match=f"density: {density}; must be inside"):
            edge_popup(network.apply, params, {}, BATCHES, examples, KEY, density=density)


def test_edge_popup_takes_traced_counts_of_each_leaf(network, params, examples):
    """So that levels of all densities share a compilation."""
    traces = []

    @jax.jit
    def scores(counts):
        traces.append(counts)
        return edge_popup(
            network.apply, params, {}, BATCHES[:5], examples, KEY, counts=counts
        ).scores

    for density in (0.5, 0.2):
        counts = jax.tree.map(lambda p, d=density: np.int32(round(d * p.size)), params)
        expected = jax.jit(
            lambda key, d=density: edge_popup(
                network.apply, params, {}, BATCHES[:5], examples, key, density=d
            )
        )(KEY)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
            scores(counts),
            expected.scores,
        )
    assert len(traces) == 1
