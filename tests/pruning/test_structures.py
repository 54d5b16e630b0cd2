import itertools

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from support.tiers import quick
from support.trees import assert_trees_equal
from support.zoo import he_normal

import lth_jax
from lth_jax import masks, models
from lth_jax.layout import free_places
from lth_jax.pruning.structures import STRUCTURES, Request
from lth_jax.pruning.weights import counts_at
from lth_jax.registry import UnknownName

COLOUR = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
NETS = {
    "lenet": models.LeNet(hidden_sizes=(12, 7)),
    "conv": models.ConvNet(stages=((6, 5), (4,)), hidden_sizes=(9,)),
    "resnet": models.ResNet(channels=(4, 6), num_blocks=2),
    "vgg": models.VGG(convolutions=(2, 1), channels=(5, 6)),
}


def magnitudes_of(module):
    params, _ = he_normal(lth_jax.from_linen(module, COLOUR), 0)
    return jax.tree.map(lambda p: jnp.asarray(np.abs(p)), params)


def columns(leaf):
    """What each unit reads with: [fan-in, units]."""
    return np.asarray(leaf).reshape(-1, leaf.shape[-1])


def unit_masks(module, found):
    """Whether each free unit is there at all, by place."""
    leaves = dict(masks.named_leaves(found))
    return {
        place.name: columns(leaves[f"{place.layers[0].name}/kernel"]).any(0)
        for place in free_places(module.layout())
    }


@pytest.mark.parametrize("name", quick("lenet", "vgg", of=NETS))
def test_the_units_of_least_norm_go_and_nothing_of_them_is_left(name):
    module = NETS[name]
    scores, layout = magnitudes_of(module), module.layout()
    found = lth_jax.prune_units(scores, masks.full(scores), 0.4, layout)
    score_of, mask_of = (dict(masks.named_leaves(tree)) for tree in (scores, found))
    touched = set()
    for place in free_places(layout):
        (layer,) = place.layers
        norms = columns(score_of[f"{layer.name}/kernel"]).sum(0)
        keep = np.ones(norms.size, bool)
        keep[np.argsort(norms)[: round(0.4 * norms.size)]] = False
        own = [f"{layer.name}/kernel", f"{layer.name}/bias"]
        own += [f"{layer.norm}/scale", f"{layer.norm}/bias"] if layer.norm else []
        for path in [path for path in own if path in mask_of]:
            units = columns(mask_of[path])
            np.testing.assert_array_equal(units.any(0), keep, path)
            touched.add(path)
        for other in layout:
            for reader in other.layers:
                if reader.reads == place.name:
                    path = f"{reader.name}/kernel"
                    mask = np.asarray(mask_of[path])
                    rows = mask.reshape(-1, keep.size, mask.shape[-1])
                    assert not rows[:, ~keep].any()
                    touched.add(path)
    for path in mask_of.keys() - touched:  # the streams' own, and the output's
        assert mask_of[path].all(), path
    assert mask_of["output/bias"].all()


def test_unit_counts_are_exact_over_levels_and_nothing_comes_back(params):
    layout, rng = NETS["lenet"].layout(), np.random.default_rng(0)
    before = masks.full(params)
    left = {"dense_0": 16, "dense_1": 8}
    for _ in range(6):
        scores = jax.tree.map(lambda p: jnp.asarray(rng.random(p.shape)), params)
        after = lth_jax.prune_units(
            scores, before, {"dense_0": 0.3, "dense_1": 0.2}, layout
        )
        assert masks.is_subset(after, before)
        left["dense_0"] -= round(0.3 * left["dense_0"])
        left["dense_1"] -= round(0.2 * left["dense_1"])
        for name, number in left.items():
            assert np.asarray(after[name]["bias"]).sum() == number
        before = after


def test_of_equal_units_the_last_goes_first_layer_by_layer_and_in_all():
    params = {
        "dense_0": {"kernel": jnp.ones((2, 4)), "bias": jnp.zeros(4)},
        "dense_1": {"kernel": jnp.full((4, 3), 0.5), "bias": jnp.zeros(3)},
        "output": {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)},
    }
    layout, whole = models.LeNet(hidden_sizes=(4, 3)).layout(), masks.full(params)
    found = lth_jax.prune_units(params, whole, 0.5, layout)
    assert found["dense_0"]["bias"].tolist() == [True, True, False, False]
    assert found["dense_1"]["bias"].tolist() == [True, False, False]
    # All seven have norm 2; three of them go, from the end of the net, except the last
    # of a layer.
    with pytest.warns(UserWarning, match="dense_1"):
        found = lth_jax.prune_units(params, whole, 0.45, layout, scope="global")
    assert found["dense_0"]["bias"].tolist() == [True, True, True, False]
    assert found["dense_1"]["bias"].tolist() == [True, False, False]
    assert found["output"]["bias"].all()
    with pytest.raises(ValueError, match="entries of each leaf stay, which protects 2"):
        lth_jax.prune_units(params, whole, 0.9, layout, scope="global")
    with pytest.raises(ValueError, match="entries of each leaf stay, which protects 3"):
        lth_jax.prune_blocks(params, whole, 0.9, 2, scope="global")


def test_layer_by_layer_more_than_half_of_one_unit_is_all_of_it():
    params = {
        "dense_0": {"kernel": jnp.ones((2, 1)), "bias": jnp.zeros(1)},
        "output": {"kernel": jnp.ones((1, 2)), "bias": jnp.zeros(2)},
    }
    layout, whole = models.LeNet(hidden_sizes=(1,)).layout(), masks.full(params)
    assert lth_jax.prune_units(params, whole, 0.5, layout)["dense_0"]["bias"].all()
    assert not lth_jax.prune_units(params, whole, 0.6, layout)["dense_0"]["bias"].any()


def test_a_unit_with_no_weights_left_but_its_bias_goes_first():
    params = {
        "dense_0": {"kernel": jnp.ones((2, 4)), "bias": jnp.ones(4)},
        "output": {"kernel": jnp.ones((4, 2)), "bias": jnp.zeros(2)},
    }
    before = masks.full(params)
    before["dense_0"]["kernel"] = before["dense_0"]["kernel"].at[:, 1].set(False)
    layout = models.LeNet(hidden_sizes=(4,)).layout()
    found = lth_jax.prune_units(params, before, 0.25, layout)
    assert found["dense_0"]["bias"].tolist() == [True, False, True, True]


def test_blocks_of_least_norm_go_whole_by_hand():
    kernel = jnp.asarray(
        [[4, 4, 1, 1, 9], [4, 4, 1, 1, 9], [2, 2, 3, 3, 0], [2, 2, 3, 3, 0]], jnp.float32
    )
    scores = {"a": {"kernel": kernel.reshape(2, 2, 1, 5), "bias": jnp.zeros(5)}}
    # Sums 16, 4, 18 (half a block) above 8, 12, 0: of six, three go.
    found = lth_jax.prune_blocks(scores, masks.full(scores), 0.5, 2)
    assert found["a"]["kernel"].reshape(4, 5).astype(int).tolist() == [
        [1, 1, 0, 0, 1],
        [1, 1, 0, 0, 1],
        [0, 0, 1, 1, 0],
        [0, 0, 1, 1, 0],
    ]
    assert found["a"]["bias"].all()
    again = lth_jax.prune_blocks(scores, found, 0.4, 2)  # round(1.2) of three
    assert not again["a"]["kernel"].reshape(4, 5)[2:].any()
    assert masks.is_subset(again, found)


def test_blocks_of_one_weight_are_weights(params):
    scores = jax.tree.map(jnp.abs, params)
    for scope in ("layerwise", "global"):
        expected = lth_jax.prune(scores, masks.full(params), 0.3, scope=scope)
        found = lth_jax.prune_blocks(scores, masks.full(params), 0.3, 1, scope=scope)
        assert_trees_equal(found, expected)


def test_two_of_four_keeps_the_two_largest_along_the_fan_in():
    kernel = jnp.asarray(
        [[3, 1], [1, 1], [2, 1], [4, 1], [0, 5], [7, 6], [5, 7]], jnp.float32
    )
    scores = {"kernel": kernel, "bias": jnp.zeros(2)}
    found = lth_jax.keep_n_of_m(scores, masks.full(scores), 2, 4)
    # Among equals the first stay; of the last three, two.
    assert found["kernel"].T.astype(int).tolist() == [
        [1, 0, 0, 1, 0, 1, 1],
        [1, 1, 0, 0, 0, 1, 1],
    ]
    assert found["bias"].all()


@settings(max_examples=60)
@given(st.data())
def test_n_of_m_keeps_the_n_highest_survivors_of_every_group(data):
    m = data.draw(st.sampled_from([2, 4]))
    n = data.draw(st.integers(1, m - 1))
    shape = (2, 1, data.draw(st.sampled_from([1, 6])), 3)
    values = st.sampled_from([-1.0, 0.0, 0.5, 2.0]).map(np.float32)
    scores = {"kernel": data.draw(hnp.arrays(np.float32, shape, elements=values))}
    kept = {"kernel": data.draw(hnp.arrays(bool, shape))}
    found = np.asarray(lth_jax.keep_n_of_m(scores, kept, n, m)["kernel"])
    was, score = kept["kernel"], scores["kernel"]
    for row, start, unit in itertools.product(range(2), range(0, shape[2], m), range(3)):
        group = range(start, min(start + m, shape[2]))  # of the inputs at one pixel
        alive = [i for i in group if was[row, 0, i, unit]]
        alive.sort(key=lambda i: (-score[row, 0, i, unit], i))
        assert {i for i in group if found[row, 0, i, unit]} == set(alive[:n])


def test_n_of_m_again_changes_nothing():
    scores = magnitudes_of(NETS["lenet"])
    once = lth_jax.keep_n_of_m(scores, masks.full(scores), 1, 4)
    assert_trees_equal(lth_jax.keep_n_of_m(scores, once, 1, 4), once)
    density = masks.layer_counts(once)["dense_0/kernel"]
    assert density.kept * 4 == density.total


def test_wrong_input_is_named_with_its_value_and_what_is_allowed(params):
    layout, whole = NETS["lenet"].layout(), masks.full(params)
    scores = jax.tree.map(jnp.abs, params)
    with pytest.raises(ValueError, match=r"fraction: 1.5; must be inside \(0, 1\)"):
        lth_jax.prune_units(scores, whole, 1.5, layout)
    with pytest.raises(ValueError, match=r"the prunable leaves are \['dense_0', 'd"):
        lth_jax.prune_units(scores, whole, {"output": 0.5}, layout)
    with pytest.raises(ValueError, match="scope: 'net'; must be 'layerwise' or 'global'"):
        lth_jax.prune_units(scores, whole, 0.5, layout, scope="net")
    with pytest.raises(ValueError, match="conv_0 is in only one of params and"):
        lth_jax.prune_units(scores, whole, 0.5, NETS["vgg"].layout())
    with pytest.raises(ValueError, match="layout: no hidden unit can go"):
        linear = {"output": params["output"]}
        layout = models.LeNet(hidden_sizes=()).layout()
        lth_jax.prune_units(linear, masks.full(linear), 0.5, layout)
    for size in (0, 2.5):
        with pytest.raises(ValueError, match=f"size: {size}; must be an integer from 1"):
            lth_jax.prune_blocks(scores, whole, 0.5, size)
    for n, m in ((0, 4), (4, 4), (5, 4)):
        with pytest.raises(ValueError, match=f"n, m: {n}, {m}; must be 1 <= n < m"):
            lth_jax.keep_n_of_m(scores, whole, n, m)
    scores["dense_1"]["kernel"] = scores["dense_1"]["kernel"].at[0, 0].set(jnp.nan)
    with pytest.raises(ValueError, match="scores: dense_1 holds NaN"):
        lth_jax.prune_units(scores, whole, 0.5, NETS["lenet"].layout())
    with pytest.raises(ValueError, match="scores: dense_1/kernel holds NaN"):
        lth_jax.keep_n_of_m(scores, whole, 2, 4)


def test_counting_under_jit_is_refused_with_the_way_out(params):
    for prune in (
        lambda p: lth_jax.prune_units(p, masks.full(p), 0.5, NETS["lenet"].layout()),
        lambda p: lth_jax.prune_blocks(p, masks.full(p), 0.5, 2),
        lambda p: lth_jax.keep_n_of_m(p, masks.full(p), 2, 4),
    ):
        with pytest.raises(TypeError, match="once a member"):
            jax.jit(prune)(params)


def test_a_structure_found_by_name_prunes_as_its_function_does():
    module = NETS["conv"]
    scores, layout = magnitudes_of(module), module.layout()
    full = masks.full(scores)
    # As a study has it: by leaf, and a unit goes by the fraction of its layer.
    of_leaf = {path: 0.4 for path, _ in masks.prunable_leaves(full)}
    of_leaf["conv_1/kernel"] = of_place = 0.2
    of_places = {place.name: 0.4 for place in free_places(layout)} | {"conv_1": of_place}
    request = Request(of_leaf, layout=layout, block_size=2, n_of_m=("3:4", "1:4"))
    expected = {
        "weights": lth_jax.prune(scores, full, of_leaf),
        "units": lth_jax.prune_units(scores, full, of_places, layout),
        "blocks": lth_jax.prune_blocks(scores, full, of_leaf, 2),
        "n_of_m": lth_jax.keep_n_of_m(scores, full, 1, 4),
    }
    assert expected.keys() == STRUCTURES.keys()
    for name, found in expected.items():
        assert_trees_equal(STRUCTURES.find(name)(scores, full, 2, request), found)


def test_units_of_a_net_without_a_layout_are_refused(params):
    with pytest.raises(ValueError, match=r"layout: None; .* a layout\(\) method"):
        STRUCTURES["units"](params, masks.full(params), 1, Request(0.5))


def test_an_own_structure_is_found_and_what_cannot_be_one_is_not(tmp_path, monkeypatch):
    (tmp_path / "own_structures.py").write_text(
        "def nothing(scores, masks, level, request): return masks\nrows = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert STRUCTURES.find("own_structures:nothing")(1, 2, 3, 4) == 2
    with pytest.raises(UnknownName, match="'own_structures:rows' is no structure"):
        STRUCTURES.find("own_structures:rows")


@pytest.mark.parametrize("own", [0.5, 0.37])
def test_a_density_keeps_as_many_as_it_counts(params, own):
    density = {path: own for path, _ in masks.prunable_leaves(params)}
    pruned = lth_jax.prune_to_density(
        jax.tree.map(jnp.abs, params), masks.full(params), density
    )
    kept = jax.tree.map(lambda mask: np.int32(mask.sum()), pruned)
    assert_trees_equal(counts_at(density, pruned), kept)
    assert_trees_equal(counts_at(own, pruned), kept)
