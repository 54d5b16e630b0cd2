import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.trees import assert_trees_equal

from lth_jax import masks


def test_full_has_the_params_structure_and_keeps_everything(params):
    full = masks.full(params)
    assert jax.tree.structure(full) == jax.tree.structure(params)
    assert all(m.dtype == bool and m.all() for m in jax.tree.leaves(full))
    assert masks.density(full) == 1.0


def test_apply_is_exactly_zero_even_for_nan_and_minus_one():
    params = {"w": jnp.array([[jnp.nan, -1.0], [jnp.inf, 2.0]])}
    keep = {"w": jnp.array([[False, False], [False, True]])}
    applied = np.asarray(masks.apply(keep, params)["w"])
    np.testing.assert_array_equal(applied, [[0.0, 0.0], [0.0, 2.0]])
    assert not np.signbit(applied).any()


def test_apply_leaves_kept_entries_bit_for_bit(params, half_masks):
    applied = jax.jit(masks.apply)(half_masks, params)
    for m, p, a in zip(*map(jax.tree.leaves, (half_masks, params, applied)), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.where(m, p, 0))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda tree: {**tree, "extra": jnp.ones(1, bool)},
        lambda tree: {**tree, "dense_0": None},
        lambda tree: jax.tree.map(lambda m: m.astype(jnp.float32), tree),
        lambda tree: jax.tree.map(lambda m: m[..., :1], tree),
    ],
    ids=["structure", "none", "dtype", "shape"],
)
def test_masks_that_do_not_fit_are_refused_when_traced(params, half_masks, wrong):
    with pytest.raises(AssertionError):
        jax.jit(masks.apply)(wrong(half_masks), params)


def test_only_kernels_are_prunable_in_every_kind_of_tree(params):
    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Linear:  # as equinox has it
        weight: jax.Array
        bias: jax.Array

    haiku = {"mlp/~/linear_0": {"w": jnp.ones((3, 2)), "b": jnp.ones(2)}}
    equinox = [Linear(jnp.ones((2, 3)), jnp.ones(2))]
    plain = {"W1": jnp.ones((3, 2)), "b1": jnp.ones(2)}
    conv = {
        "conv": {"kernel": jnp.ones((3, 3, 2, 4)), "bias": jnp.ones(4)},
        "norm": {"scale": jnp.ones((1, 4)), "bias": jnp.ones((1, 4))},
    }
    found = [
        [path for path, _ in masks.prunable_leaves(tree)]
        for tree in (params, haiku, equinox, plain, conv)
    ]
    assert found == [
        ["dense_0/kernel", "dense_1/kernel", "output/kernel"],
        ["mlp/~/linear_0/w"],
        ["0/weight"],
        ["W1"],
        ["conv/kernel"],
    ]


def test_excluded_layers_are_those_with_a_part_of_their_path_so_named():
    leaf = {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}
    tree = {
        "conv": leaf,
        "block_0": {"conv": leaf, "shortcut": leaf, "shortcut_norm": leaf},
        "output": leaf,
    }

    def paths(*layers):
        return [p for p, _ in masks.prunable_leaves(tree, masks.excluding(layers))]

    every = [p for p, _ in masks.prunable_leaves(tree)]
    assert paths() == paths("short", "unknown", "bias") == every
    assert paths("output", "shortcut") == [
        "block_0/conv/kernel",
        "block_0/shortcut_norm/kernel",
        "conv/kernel",
    ]
    assert paths("block_0") == ["conv/kernel", "output/kernel"]
    assert paths("block_0", "conv") == ["output/kernel"]
    with pytest.raises(ValueError, match="admits none"):
        paths("kernel")


def test_what_is_excluded_is_out_of_the_counts_and_in_those_by_default(half_masks):
    some = masks.layer_counts(half_masks, masks.excluding(("output",)))
    every = masks.layer_counts(half_masks)
    assert set(every) - set(some) == {"output/kernel"}
    assert all(every[path] == count for path, count in some.items())


def test_a_tree_with_nothing_to_prune_is_an_error():
    with pytest.raises(ValueError, match=r"none of the leaves \(bias\)"):
        masks.density({"bias": jnp.ones(3, bool)})


def test_counts_and_density_agree_with_numpy(half_masks):
    counts = masks.layer_counts(half_masks)
    expected = {
        f"{layer}/kernel": (int(np.sum(m["kernel"])), m["kernel"].size)
        for layer, m in half_masks.items()
    }
    assert counts == expected
    kept = sum(k for k, _ in expected.values())
    assert masks.density(half_masks) == kept / sum(n for _, n in expected.values())


def test_mask_algebra_agrees_with_sets():
    def tree(*kept):
        return {"w": jnp.isin(jnp.arange(6), jnp.array(kept)).reshape(2, 3)}

    def kept(mask):
        return set(np.flatnonzero(np.asarray(mask["w"])).tolist())

    a, b = tree(0, 1, 2), tree(2, 3)
    assert kept(masks.union(a, b)) == {0, 1, 2, 3}
    assert kept(masks.intersection(a, b)) == {2}
    assert masks.overlap(a, b) == 1 / 4
    assert masks.overlap(tree(99), tree(99)) == 1.0
    assert masks.is_subset(tree(2), a)
    assert not masks.is_subset(b, a)
    assert_trees_equal(masks.union(a, a), a)
