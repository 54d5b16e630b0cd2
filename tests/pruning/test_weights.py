import itertools

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from support.trees import assert_trees_equal

import lth_jax
from lth_jax import masks, pruning
from lth_jax.removal import remove_lowest


def removed_by_numpy(scores, kept, count):
    """The rule, by sorting: lowest first, among equals the higher flat index first."""
    survivors = np.flatnonzero(kept)
    order = sorted(survivors, key=lambda i: (scores.ravel()[i], -i))
    result = np.array(kept).ravel()
    result[order[:count]] = False
    return result.reshape(kept.shape)


# Few distinct values, so that ties are common; both zeros, both infinities.
SCORES = st.sampled_from([-np.inf, -2.0, -0.0, 0.0, 1e-40, 1.0, 1.5, np.inf])


@settings(max_examples=150)
@given(st.data())
def test_remove_lowest_agrees_with_sorting(data):
    shape = (3, 4)
    scores = data.draw(hnp.arrays(np.float32, shape, elements=SCORES.map(np.float32)))
    kept = data.draw(hnp.arrays(bool, shape))
    count = data.draw(st.integers(0, int(kept.sum())))
    pruned = remove_lowest({"w": scores}, {"w": kept}, count)["w"]
    np.testing.assert_array_equal(pruned, removed_by_numpy(scores, kept, count))


def test_both_zeros_are_one_score_and_subnormals_are_not_zero():
    scores = np.array([0.0, 1e-40, -0.0, -1e-40, 0.0], np.float32)
    kept = np.ones(5, bool)
    for count in range(6):
        pruned = remove_lowest([scores], [kept], count)[0]
        np.testing.assert_array_equal(pruned, removed_by_numpy(scores, kept, count))


def test_remove_lowest_works_under_vmap_with_a_count_of_its_own_for_each_member():
    scores = np.random.default_rng(0).integers(0, 5, (4, 30)).astype(np.float32)
    kept = np.random.default_rng(1).random((4, 30)) < 0.8
    counts = np.array([0, 3, 7, 15])
    pruned = jax.vmap(remove_lowest)(scores, kept, counts)
    for s, k, c, p in zip(scores, kept, counts, pruned, strict=True):
        np.testing.assert_array_equal(p, removed_by_numpy(s, k, c))


def magnitudes(params):
    return jax.tree.map(jnp.abs, params)


def test_layerwise_counts_are_exact_over_levels_and_nothing_comes_back(params):
    fractions = {"dense_0/kernel": 0.2, "dense_1/kernel": 0.3, "output/kernel": 0.1}
    before, rng = masks.full(params), np.random.default_rng(0)
    for _ in range(6):
        scores = jax.tree.map(lambda p: jnp.asarray(rng.random(p.shape)), params)
        after = pruning.prune(scores, before, fractions)
        assert masks.is_subset(after, before)
        was, now = masks.layer_counts(before), masks.layer_counts(after)
        for name, fraction in fractions.items():
            assert now[name].kept == was[name].kept - round(fraction * was[name].kept)
            layer = name.split("/")[0]
            removed = was[name].kept - now[name].kept
            expected = removed_by_numpy(
                np.asarray(scores[layer]["kernel"]),
                np.asarray(before[layer]["kernel"]),
                removed,
            )
            np.testing.assert_array_equal(after[layer]["kernel"], expected)
        assert all(after[layer]["bias"].all() for layer in after)
        before = after


def test_pruned_weights_stay_pruned_whatever_their_score(params, half_masks):
    scores = jax.tree.map(lambda m: jnp.where(m, 0.0, jnp.inf), half_masks)
    after = pruning.prune(scores, half_masks, 0.5)
    assert masks.is_subset(after, half_masks)
    assert masks.density(after) < masks.density(half_masks)


def test_global_pruning_treats_the_net_as_one_vector(params, half_masks):
    rng = np.random.default_rng(0)
    scores = jax.tree.map(
        lambda p: jnp.asarray(rng.integers(0, 4, p.shape).astype(np.float32)), params
    )
    after = pruning.prune(scores, half_masks, 0.37, scope="global")
    names = [n for n, _ in masks.prunable_leaves(params)]

    def vector(tree):
        leaves = dict(masks.named_leaves(tree))
        return np.concatenate([np.asarray(leaves[n]).ravel() for n in names])

    count = round(0.37 * int(vector(half_masks).sum()))
    expected = removed_by_numpy(vector(scores), vector(half_masks), count)
    np.testing.assert_array_equal(vector(after), expected)
    assert all(after[layer]["bias"].all() for layer in after)


def test_rounding_is_pythons_half_to_even():
    tree = {"w": jnp.arange(5.0).reshape(1, 5)}
    pruned = pruning.prune(tree, masks.full(tree), 0.5)  # round(2.5) == 2
    assert masks.total_count(pruned).kept == 3


def test_papers_density_ladder_of_lenet_300_100():
    shapes = {"dense_0": (784, 300), "dense_1": (300, 100), "output": (100, 10)}
    rng = np.random.default_rng(0)
    scores = {
        n: {"kernel": jnp.asarray(rng.random(s), jnp.float32)} for n, s in shapes.items()
    }
    fractions = {f"{n}/kernel": 0.1 if n == "output" else 0.2 for n in shapes}
    kept, percents = masks.full(scores), []
    for _ in range(20):
        kept = pruning.prune(scores, kept, fractions)
        percents.append(round(100 * masks.density(kept), 1))
    # P_m as the paper labels its curves, at levels 3, 7, 9, 15, 16, 18, 20.
    labels = [51.3, 21.1, 13.5, 3.6, 2.9, 1.9, 1.2]
    assert [percents[i - 1] for i in (3, 7, 9, 15, 16, 18, 20)] == labels


@pytest.mark.parametrize("scope", ["layerwise", "global"])
def test_one_shot_reaches_each_density_with_nested_masks(params, scope):
    scores = magnitudes(params)
    densities = (0.7, 0.4, 0.1)
    found = pruning.one_shot(scores, masks.full(params), densities, scope=scope)
    previous = masks.full(params)
    for density, pruned in zip(densities, found, strict=True):
        layers = masks.layer_counts(pruned)
        if scope == "layerwise":
            assert all(n.kept == round(density * n.total) for n in layers.values())
        else:
            total = masks.total_count(pruned)
            assert total.kept == round(density * total.total)
        assert masks.is_subset(pruned, previous)
        previous = pruned


def test_a_density_for_each_leaf_is_exact_and_one_is_dense(params):
    densities = {"dense_0/kernel": 0.31, "dense_1/kernel": 1.0, "output/kernel": 0.0}
    pruned = pruning.prune_to_density(magnitudes(params), masks.full(params), densities)
    for name, layer in masks.layer_counts(pruned).items():
        assert layer.kept == round(densities[name] * layer.total)


@pytest.mark.parametrize(
    ("densities", "scope", "message"),
    [
        ({"dense_0/kernel": 0.2}, "layerwise", "density: names .* the prunable leaves"),
        ({"dense_0/kernel": 0.2}, "global", "density: .* for scope 'layerwise' alone"),
    ],
)
def test_densities_that_do_not_fit_are_refused(params, densities, scope, message):
    full = masks.full(params)
    with pytest.raises(ValueError, match=message):
        pruning.prune_to_density(magnitudes(params), full, densities, scope=scope)


def test_a_density_above_one_is_refused(params):
    full = masks.full(params)
    densities = dict.fromkeys(masks.layer_counts(full), 1.1)
    with pytest.raises(ValueError, match=r"1\.1 of dense_0/kernel; must be in \[0, 1\]"):
        pruning.prune_to_density(magnitudes(params), full, densities)


@pytest.mark.parametrize("scope", ["layerwise", "global"])
def test_rounds_nest_and_end_exactly_at_the_density(params, scope):
    seen = []

    def score(kept):  # another order each time
        seen.append(kept)
        return jax.tree.map(lambda p: jnp.abs(jnp.sin(len(seen) * 50 * p)), params)

    full = masks.full(params)
    pruned = pruning.prune_in_rounds(score, full, 0.1, 7, scope=scope)
    size = masks.total_count(full).total
    for k, (before, after) in enumerate(itertools.pairwise([*seen, pruned])):
        assert masks.is_subset(after, before)
        if scope == "global":
            assert masks.total_count(after).kept == round(0.1 ** ((k + 1) / 7) * size)
    for name, layer in masks.layer_counts(pruned).items():
        if scope == "layerwise":
            assert layer.kept == round(0.1 * layer.total), name


def test_one_round_is_one_shot_and_none_is_refused(params):
    scores, full = magnitudes(params), masks.full(params)
    densities = dict.fromkeys(masks.layer_counts(full), 0.3)
    one = pruning.prune_in_rounds(lambda kept: scores, full, densities, 1)
    assert_trees_equal(one, pruning.prune_to_density(scores, full, 0.3))
    with pytest.raises(ValueError, match="num_rounds: 0; must be at least 1"):
        pruning.prune_in_rounds(lambda kept: scores, full, 0.3, 0)


def test_a_negative_floor_is_refused(params):
    with pytest.raises(ValueError, match="floor: -1; must be at least 0"):
        pruning.prune(magnitudes(params), masks.full(params), 0.3, floor=-1)


def test_magnitude_pruning_keeps_the_largest(params):
    evidence = lth_jax.pruning.criteria.Evidence(
        params, params, masks.full(params), jax.random.key(0)
    )
    scores = lth_jax.pruning.criteria.magnitude(evidence)
    after = pruning.prune(scores, masks.full(params), 0.5)
    for layer in after:
        kernel, kept = np.abs(params[layer]["kernel"]), np.asarray(after[layer]["kernel"])
        assert kernel[kept].min() >= kernel[~kept].max()


def test_nan_scores_are_an_error_that_names_the_leaf(params):
    scores = magnitudes(params)
    scores["dense_1"]["kernel"] = scores["dense_1"]["kernel"].at[0, 0].set(jnp.nan)
    with pytest.raises(ValueError, match="dense_1/kernel holds NaN"):
        pruning.prune(scores, masks.full(params), 0.2)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_fractions_outside_the_unit_interval_are_refused(params, fraction):
    with pytest.raises(ValueError, match=r"must be inside \(0, 1\)"):
        pruning.prune(magnitudes(params), masks.full(params), fraction)


@pytest.mark.parametrize(
    ("fraction", "scope", "message"),
    [
        (0.2, "layer", "'layer'; must be 'layerwise' or 'global'"),
        ({"dense_0/kernel": 0.2}, "layerwise", "the prunable leaves are"),
        ({"dense_0/kernel": 0.2}, "global", "for scope 'layerwise' alone"),
    ],
)
def test_wrong_scope_or_mapping_is_refused(params, fraction, scope, message):
    with pytest.raises(ValueError, match=message):
        pruning.prune(magnitudes(params), masks.full(params), fraction, scope=scope)


def test_one_shot_cannot_bring_weights_back(params):
    sparse = pruning.prune_to_density(magnitudes(params), masks.full(params), 0.3)
    with pytest.raises(ValueError, match="never come back"):
        pruning.prune_to_density(magnitudes(params), sparse, 0.5)
    assert_trees_equal(pruning.prune_to_density(magnitudes(params), sparse, 0.3), sparse)


def test_counting_under_jit_or_vmap_is_refused_with_the_way_out(params):
    members = jax.tree.map(lambda p: jnp.stack([p, p]), params)
    with pytest.raises(TypeError, match="once a member"):
        jax.vmap(lambda p: pruning.prune(magnitudes(p), masks.full(p), 0.5))(members)
