"""Each criterion by hand on few weights, and against an oracle that differentiates less.

The oracles are float64 finite differences, an explicit Hessian, and paths counted one by
one.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.tiers import quick
from support.trees import assert_trees_equal
from support.zoo import he_normal

import lth_jax
from lth_jax import masks, models, pruning
from lth_jax.errors import UserError
from lth_jax.pruning import criteria
from lth_jax.registry import UnknownName

NETS = {
    "convnet": models.ConvNet(num_classes=3, stages=((3, 4),), hidden_sizes=(5,)),
    "resnet": models.ResNet(num_classes=3, channels=(3, 4), num_blocks=1),
    "vgg": models.VGG(num_classes=3, convolutions=(1, 1), channels=(3, 4)),
    "lenet": models.LeNet(num_classes=3, hidden_sizes=(6, 5)),
}
IMAGES = jax.ShapeDtypeStruct((1, 4, 4, 2), jnp.uint8)


@functools.cache
def make_evidence(net):
    """A net at init, another as if trained, with all that criteria look at."""
    network = lth_jax.from_linen(NETS[net], IMAGES, lambda x: x / 100.0 - 1)
    (init, init_stats), (trained, stats) = (he_normal(network, seed) for seed in (0, 1))
    rng = np.random.default_rng(0)
    move = np.float32(rng.uniform(0.5, 1.5, 100))
    trained, stats = jax.tree.map(
        lambda x: jnp.asarray(np.asarray(x) + move[: x.shape[-1]] / 10), (trained, stats)
    )
    examples = lth_jax.Examples(
        jnp.asarray(rng.integers(0, 256, (6, *IMAGES.shape[1:]), np.uint8)),
        jnp.array([0, 1, 2, 0, 1, 2]),
    )
    return criteria.Evidence(
        trained,
        init,
        masks.full(init),
        jax.random.key(3),
        stats,
        init_stats,
        examples,
        jax.tree_util.Partial(network.apply),
        jax.tree_util.Partial(network.apply_to_ones),
        jnp.arange(6).reshape(1, 6),
        jax.tree.map(lambda p: jnp.int32(p.size // 2), init),
    )


@pytest.fixture(scope="module")
def lenet():
    return make_evidence("lenet")


@pytest.fixture(scope="module")
def convnet():
    return make_evidence("convnet")


@pytest.fixture(scope="module")
def vgg():
    return make_evidence("vgg")


@pytest.fixture(scope="module")
def resnet():
    return make_evidence("resnet")


def assert_close(found, expected, rtol=1e-4, atol=1e-6):
    for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


# All criteria.


@pytest.mark.parametrize(
    "name", quick("magnitude", "snip", "synflow", of=criteria.CRITERIA)
)
def test_every_criterion_feeds_prune_and_works_over_members(name, vgg):
    scores_of = jax.jit(criteria.CRITERIA[name].scores)
    scores = scores_of(vgg)
    pruned = pruning.prune(scores, vgg.masks, 0.3)
    for layer in masks.layer_counts(pruned).values():
        assert layer.kept == layer.total - round(0.3 * layer.total)
    members = jax.tree.map(lambda x: jnp.stack([x, x]), vgg)
    stacked = jax.jit(jax.vmap(criteria.CRITERIA[name].scores))(members)
    second = jax.tree.map(lambda x: x[1], stacked)
    assert_close(second, scores, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", criteria.CRITERIA)
def test_every_criterion_that_looks_at_init_sees_no_trained_weight(name, lenet):
    if criteria.CRITERIA[name].looks == "init":
        blind = lenet._replace(
            params=jax.tree.map(lambda p: p * jnp.nan, lenet.params),
            batch_stats=jax.tree.map(lambda p: p * jnp.nan, lenet.batch_stats),
        )
        scores_of = jax.jit(criteria.CRITERIA[name].scores)
        assert_trees_equal(scores_of(blind), scores_of(lenet))


NEEDS = {
    "saliency": ("examples", "apply"),
    "snip": ("examples", "apply"),
    "grasp": ("examples", "apply"),
    "grasp_magnitude": ("examples", "apply"),
    "synflow": ("apply_to_ones",),
    "supermask": ("examples", "apply", "batch_indices"),
    "supermask_rescaled": ("examples", "apply", "batch_indices"),
    "edge_popup": ("examples", "apply", "batch_indices", "counts"),
}


@pytest.mark.parametrize("name", criteria.CRITERIA)
def test_what_is_missing_is_named(name):
    needed = NEEDS.get(name, ())
    bare = of_layers(INIT, FINAL)
    for field in needed:
        lacking = bare._replace(**dict.fromkeys(set(needed) - {field}, "there"))
        with pytest.raises(ValueError, match=rf"evidence\.{field}: None; .* needs it"):
            criteria.CRITERIA[name].scores(lacking)
    if not needed:
        criteria.CRITERIA[name].scores(bare)
    assert criteria.CRITERIA[name].at_data == ("examples" in needed)
    assert criteria.CRITERIA[name].learns == ("batch_indices" in needed)


def test_random_scores_depend_on_the_key_alone(lenet):
    first = criteria.random(lenet)
    again = criteria.random(
        lenet._replace(
            params=jax.tree.map(jnp.negative, lenet.params),
            init_params=jax.tree.map(jnp.zeros_like, lenet.init_params),
        )
    )
    other = criteria.random(lenet._replace(key=jax.random.key(1)))
    assert_trees_equal(first, again)
    for a, b in zip(*map(jax.tree.leaves, (first, other)), strict=True):
        assert (a != b).all()


# Zhou et al. 2019, on five weights of one layer.

INIT = [0.1, -0.4, 0.3, 0.2, -0.5]
FINAL = [0.6, 0.5, -0.1, 0.25, -0.45]
BY_HAND = {
    "magnitude": [0.6, 0.5, 0.1, 0.25, 0.45],
    "large_final": [0.6, 0.5, 0.1, 0.25, 0.45],
    "small_final": [-0.6, -0.5, -0.1, -0.25, -0.45],
    "large_init": [0.1, 0.4, 0.3, 0.2, 0.5],
    "small_init": [-0.1, -0.4, -0.3, -0.2, -0.5],
    # So many of the five are smaller than |w_i|: 0 3 2 1 4; than |w_f|: 4 3 0 1 2.
    "large_init_large_final": [0, 0.6, 0, 0.2, 0.4],
    "small_init_small_final": [-0.8, -0.6, -0.4, -0.2, -0.8],
    "magnitude_increase": [0.5, 0.1, -0.2, 0.05, -0.05],
    "movement": [0.5, 0.9, 0.4, 0.05, 0.05],
    "large_final_same_sign": [0.6, 0, 0, 0.25, 0.45],
    "large_final_diff_sign": [0, 0.5, 0.1, 0, 0],
    "magnitude_increase_same_sign": [0.5, 0, 0, 0.05, -0.05],
    "magnitude_increase_diff_sign": [0, 0.1, -0.2, 0, 0],
}


def of_layers(init, final, kept=None):
    """Evidence of one layer."""
    init, final = {"w": jnp.array([init])}, {"w": jnp.array([final])}
    kept = masks.full(init) if kept is None else {"w": jnp.array([kept])}
    return criteria.Evidence(final, init, kept, jax.random.key(0))


@pytest.mark.parametrize("name", BY_HAND)
def test_scores_of_init_and_final_weights_by_hand(name):
    scores = criteria.CRITERIA[name].scores(of_layers(INIT, FINAL))["w"][0]
    np.testing.assert_allclose(scores, BY_HAND[name], atol=1e-7)


def test_percentiles_are_among_the_survivors():
    kept = [True, False, True, True, True]
    scores = criteria.large_init_large_final(of_layers(INIT, FINAL, kept))["w"][0]
    # Without the second, 0 2 1 3 of four are smaller than |w_i| and 3 0 1 2 than |w_f|.
    np.testing.assert_array_equal(scores[jnp.array(kept)], [0, 0, 0.25, 0.5])


@pytest.mark.parametrize("number", [10, 50, 90])
@pytest.mark.parametrize("small", [False, True])
def test_percentiles_keep_what_a_bisected_percentile_keeps(number, small):
    rng = np.random.default_rng(0)
    init, final = rng.normal(size=(2, 100)).astype(np.float32)
    name = "small_init_small_final" if small else "large_init_large_final"
    evidence = of_layers(init, final)
    scores = criteria.CRITERIA[name].scores(evidence)
    kept = pruning.prune_to_density(scores, evidence.masks, number / 100)["w"][0]
    sign = -1 if small else 1
    of_init, of_final = sign * abs(init), sign * abs(final)
    # As many of each are cut off, until no more than so many pass both.
    for cut in range(101):
        passing = (of_init >= np.sort(of_init)[cut]) & (
            of_final >= np.sort(of_final)[cut]
        )
        if passing.sum() <= number:
            break
    assert np.all(kept[passing])
    assert number - passing.sum() <= 1  # one more of each falls at a time


def test_ties_of_the_sign_variants_are_broken_at_random():
    init = jnp.ones((40, 40))
    evidence = of_layers(init, init * 2)
    scores = criteria.large_final_diff_sign(evidence)  # no sign has changed
    kept = pruning.prune_to_density(scores, evidence.masks, 0.5)["w"][0]
    by_row = np.asarray(kept).mean(1)
    assert by_row.min() > 0.2 and by_row.max() < 0.8
    assert float(jnp.abs(scores["w"]).max()) < 1e-20


# Gradients.


def loss_of(evidence, stats, temperature=1.0):
    def loss(params):
        logits, _ = evidence.apply(params, stats, evidence.examples.inputs, False, None)
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(
            logits / temperature, evidence.examples.labels
        )
        return losses.mean()

    return loss


def at_init(evidence, kept):
    return masks.apply(kept, evidence.init_params), evidence.init_batch_stats


def test_snip_of_a_linear_net_by_hand():
    # One example (1, 2) of class 0: with equal logits g = (p - y) x^T, p = 1/2.
    weights = {"w": jnp.array([[1.0, 3.0], [2.0, 1.0]])}  # logits 5 and 5
    evidence = criteria.Evidence(
        weights,
        weights,
        masks.full(weights),
        jax.random.key(0),
        examples=lth_jax.Examples(jnp.array([[1.0, 2.0]]), jnp.array([0])),
        apply=jax.tree_util.Partial(lambda p, stats, x, train, key: (x @ p["w"], stats)),
    )
    expected = [[0.5, 1.5], [2.0, 1.0]]
    np.testing.assert_allclose(criteria.snip(evidence)["w"], expected, rtol=1e-6)
    np.testing.assert_allclose(criteria.saliency(evidence)["w"], expected, rtol=1e-6)
    # With logits over T, H = x x^T (diag(p) - p p^T) / T^2 and g = (p - y) x^T / T; so
    # H g = |x|^2 / 2 * (p - y) x^T / T^3.
    expected = np.array([[-1.0, 3.0], [-4.0, 2.0]]) * 5 / 4 / 200**3
    np.testing.assert_allclose(criteria.grasp(evidence)["w"], expected, rtol=1e-5)
    found = criteria.grasp_magnitude(evidence)["w"]
    np.testing.assert_allclose(found, np.abs(expected), rtol=1e-5)


@pytest.mark.parametrize("net", quick("vgg", of=["convnet", "vgg"]))
def test_snip_is_the_gradient_by_the_mask(net):
    """As the paper defines it: by c, at c = 1, of the loss with c * w."""
    evidence = make_evidence(net)
    kept = some_masks(evidence.masks)
    loss = loss_of(evidence, evidence.init_batch_stats)

    def loss_by_mask(c):
        return loss(jax.tree.map(jnp.multiply, c, evidence.init_params))

    by_mask = jax.jit(jax.grad(loss_by_mask))(jax.tree.map(jnp.float32, kept))
    scores = jax.jit(criteria.snip)(evidence._replace(masks=kept))
    expected = jax.tree.map(lambda m, g: jnp.where(m, jnp.abs(g), 0), kept, by_mask)
    assert_close(scores, expected)


def test_saliency_is_what_a_small_change_of_each_weight_does(vgg):
    """By finite differences of the kernel of one layer, with trained statistics."""
    loss = jax.jit(loss_of(vgg, vgg.batch_stats))
    scores = jax.jit(criteria.saliency)(vgg)["output"]["kernel"]
    kernel = vgg.params["output"]["kernel"]
    for place in np.ndindex(kernel.shape):
        up, down = (
            loss(vgg.params | {"output": vgg.params["output"] | {"kernel": changed}})
            for changed in (
                kernel.at[place].multiply(1.02),
                kernel.at[place].multiply(0.98),
            )
        )
        np.testing.assert_allclose(scores[place], abs(up - down) / 0.04, atol=5e-5)


def some_masks(full):
    """About two thirds of each kernel."""
    return jax.tree.map(
        lambda m: (
            jax.random.bernoulli(jax.random.key(m.size), 2 / 3, m.shape)
            if m.ndim > 1
            else m
        ),
        full,
    )


@pytest.mark.parametrize("net", quick("lenet", of=["lenet", "vgg"]))
def test_grasp_is_an_explicit_hessian_of_the_kernels_times_gradient(net):
    evidence = make_evidence(net)
    kept = some_masks(evidence.masks)
    scores = jax.jit(criteria.grasp)(evidence._replace(masks=kept))
    params, stats = at_init(evidence, kept)
    names = [name for name, _ in masks.prunable_leaves(params)]
    leaves, structure = jax.tree.flatten(params)
    is_kernel = [name in names for name, _ in masks.named_leaves(params)]
    kernels = [p for p, k in zip(leaves, is_kernel, strict=True) if k]
    kernel_masks = [m for m, k in zip(jax.tree.leaves(kept), is_kernel, strict=True) if k]
    sizes = [k.size for k in kernels]
    loss = loss_of(evidence, stats, 200.0)

    def of_vector(vector):
        parts = iter(jnp.split(vector, np.cumsum(sizes)[:-1]))
        filled = [
            next(parts).reshape(p.shape) if k else p
            for p, k in zip(leaves, is_kernel, strict=True)
        ]
        return loss(jax.tree.unflatten(structure, filled))

    vector = jnp.concatenate([k.ravel() for k in kernels])
    alive = np.concatenate([np.asarray(m).ravel() for m in kernel_masks])
    gradient = jax.grad(of_vector)
    # Row by row, in reverse twice, of all pairs of weights.
    hessian = jax.jit(jax.vmap(lambda e: jax.grad(lambda v: gradient(v) @ e)(vector)))(
        jnp.eye(len(vector))
    )
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-9)
    g = np.float64(gradient(vector)) * alive
    expected = np.float64(vector) * (np.float64(hessian) @ g)
    found = np.concatenate(
        [
            np.asarray(s).ravel()
            for s, k in zip(jax.tree.leaves(scores), is_kernel, strict=True)
            if k
        ]
    )
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-5)


def test_grasp_is_how_the_gradients_norm_changes(convnet):
    """Its sum is half the derivative of |g|^2 as the kernels grow: no second reverse."""
    scores = jax.jit(criteria.grasp)(convnet)
    found = sum(float(s.sum()) for _, s in masks.prunable_leaves(scores))
    loss = loss_of(convnet, {}, 200.0)

    @jax.jit
    def norm(factor):
        grown = scaled_kernels(convnet.init_params, factor)
        return sum((g**2).sum() for _, g in masks.prunable_leaves(jax.grad(loss)(grown)))

    difference = (norm(1.01) - norm(0.99)) / 0.02 / 2
    np.testing.assert_allclose(found, difference, rtol=2e-3)


def scaled_kernels(params, factor):
    leaves = [
        p * factor if masks.default_prunable(path, p) else p
        for path, p in masks.named_leaves(params)
    ]
    return jax.tree.unflatten(jax.tree.structure(params), leaves)


# SynFlow.


def test_synflow_counts_paths():
    """R and each weight's share of it, path by path, in float64."""
    rng = np.random.default_rng(0)
    shapes = {"dense_0": (3, 4), "dense_1": (4, 5), "output": (5, 2)}
    kernels = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    share = {name: np.zeros(shape) for name, shape in shapes.items()}
    for a, b, c, d in itertools.product(range(3), range(4), range(5), range(2)):
        edges = {"dense_0": (a, b), "dense_1": (b, c), "output": (c, d)}
        flow = math.prod(abs(kernels[name][edge]) for name, edge in edges.items())
        for name, edge in edges.items():
            share[name][edge] += flow
    total = share["output"].sum()
    network = lth_jax.from_linen(
        models.LeNet(num_classes=2, hidden_sizes=(4, 5)),
        jax.ShapeDtypeStruct((1, 3), jnp.float32),
        lambda x: x * 0 - 5,  # what the ones must not meet
    )
    params, _ = he_normal(network, 0)
    for name, kernel in kernels.items():
        params[name]["kernel"] = jnp.float32(kernel)
    evidence = criteria.Evidence(
        params,
        params,
        masks.full(params),
        jax.random.key(0),
        apply_to_ones=jax.tree_util.Partial(network.apply_to_ones),
    )
    scores = criteria.synflow(evidence)
    for name in kernels:
        found = scores[name]["kernel"]
        np.testing.assert_allclose(found, share[name] / total, rtol=1e-5)


@pytest.mark.parametrize("net", ["lenet", "convnet", "vgg"])
def test_synflow_is_conserved_from_layer_to_layer(net):
    """Also through max pools, and batch normalisation with the statistics of the init."""
    evidence = make_evidence(net)
    kept = some_masks(evidence.masks)
    scores = jax.jit(criteria.synflow)(evidence._replace(masks=kept))
    for name, score in masks.prunable_leaves(scores):
        np.testing.assert_allclose(score.sum(), 1, rtol=1e-4, err_msg=name)


def test_synflow_is_conserved_over_a_cut_of_shortcuts(resnet):
    scores = jax.jit(criteria.synflow)(resnet)
    for name in ("conv", "output"):  # what no shortcut goes around
        np.testing.assert_allclose(scores[name]["kernel"].sum(), 1, rtol=1e-4)
    sums = [float(s.sum()) for _, s in masks.prunable_leaves(scores)]
    assert all(0 < s < 1 + 1e-4 for s in sums) and min(sums) < 0.999


def test_synflow_sees_sizes_alone_and_scores_pruned_weights_zero(convnet):
    evidence = convnet
    kept = some_masks(evidence.masks)
    turned = jax.tree.map(jnp.negative, evidence.init_params)
    first, second = (
        jax.jit(criteria.synflow)(evidence._replace(masks=kept, init_params=params))
        for params in (evidence.init_params, turned)
    )
    assert_trees_equal(first, second)
    for score, mask in zip(*map(jax.tree.leaves, (first, kept)), strict=True):
        assert not np.asarray(score)[~np.asarray(mask)].any()


def test_synflow_of_a_net_cut_in_two_is_zero(convnet):
    kept = convnet.masks | {
        "output": jax.tree.map(jnp.zeros_like, convnet.masks["output"])
    }
    scores = jax.jit(criteria.synflow)(convnet._replace(masks=kept))
    assert all(not s.any() for s in jax.tree.leaves(scores))


def deep_evidence(factor, dtype=jnp.float32):
    """That of 20 dense layers, whose weights are He's times a factor."""
    network = lth_jax.from_linen(
        models.LeNet(num_classes=10, hidden_sizes=(64,) * 19, dtype=dtype),
        jax.ShapeDtypeStruct((1, 64), jnp.float32),
    )
    params = jax.tree.map(lambda p: p * factor, he_normal(network, 0)[0])
    return criteria.Evidence(
        params,
        params,
        masks.full(params),
        jax.random.key(0),
        apply_to_ones=jax.tree_util.Partial(network.apply_to_ones),
    )


@pytest.mark.parametrize("factor", [6.0, 0.005])
def test_synflow_of_a_deep_net_neither_overflows_nor_vanishes(factor):
    """R is about 1e28, as of VGG-19, or 1e-30."""
    evidence = deep_evidence(factor)
    sizes = jax.tree.map(jnp.abs, evidence.params)
    flow = evidence.apply_to_ones(sizes, {}).sum()
    assert not 1e-25 < flow < 1e25
    scores = jax.jit(criteria.synflow)(evidence)
    for name, score in masks.prunable_leaves(scores):
        np.testing.assert_allclose(score.sum(), 1, rtol=1e-3, err_msg=name)
        assert (score > 0).all()


@pytest.mark.parametrize("factor", [1.0, 6.0])
def test_synflow_of_a_bfloat16_net_is_that_of_float32(factor):
    found, expected = (
        jax.jit(criteria.synflow)(deep_evidence(factor, dtype))
        for dtype in (jnp.bfloat16, jnp.float32)
    )
    for (name, score), (_, right) in zip(
        masks.prunable_leaves(found), masks.prunable_leaves(expected), strict=True
    ):
        assert score.dtype == jnp.float32, name
        np.testing.assert_allclose(score, right, rtol=0.2, err_msg=name)


def test_synflow_in_rounds_nests_and_keeps_every_layer(convnet):
    scores_of = jax.jit(lambda evidence: criteria.synflow(evidence))
    seen = []

    def score(kept):
        seen.append(kept)
        return scores_of(convnet._replace(masks=kept))

    pruned = pruning.prune_in_rounds(
        score, convnet.masks, 0.1, 100, scope="global", floor=0
    )
    size = masks.total_count(pruned).total
    for k, (before, after) in enumerate(itertools.pairwise([*seen, pruned])):
        assert masks.is_subset(after, before)
        assert masks.total_count(after).kept == round(0.1 ** ((k + 1) / 100) * size)
    assert all(layer.kept for layer in masks.layer_counts(pruned).values())
    assert scores_of._cache_size() == 1


def test_an_own_criterion_is_a_function_of_evidence_or_says_more(tmp_path, monkeypatch):
    (tmp_path / "own_criteria.py").write_text(
        "from lth_jax.pruning.criteria import Criterion\n"
        "def oldest(evidence): return evidence.init_params\n"
        "early = Criterion(oldest, looks='init', one_shot=True)\nnumber = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    plain = criteria.CRITERIA.find("own_criteria:oldest")
    early = criteria.CRITERIA.find("own_criteria:early")
    assert plain == criteria.Criterion(plain.scores) and early.one_shot
    assert plain.scores is early.scores
    with pytest.raises(UnknownName, match=r"no criterion .* a function of evidence"):
        criteria.CRITERIA.find("own_criteria:number")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
def test_scores_that_say_nothing_are_refused_by_name(value):
    masks = {"a": np.array([[True, False]]), "b": np.ones((2, 2), bool)}
    scores = {"a": np.array([[1.0, np.nan]]), "b": np.ones((2, 2))}
    criteria.check_scores(scores, masks, lambda *_: True)  # where pruned
    scores["b"][1, 1] = value
    if value:
        with pytest.raises(UserError, match=rf"scores: b holds {value}"):
            criteria.check_scores(scores, masks, lambda *_: True)
        return
    nothing, full = jax.tree.map(np.zeros_like, (scores, masks))
    full = jax.tree.map(np.logical_not, full)
    criteria.check_scores(nothing, masks, lambda *_: True)  # cut in two
    with pytest.raises(UserError, match="scores: all are 0, those of b too"):
        criteria.check_scores(nothing, full, lambda *_: True)
