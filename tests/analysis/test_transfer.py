"""Tickets that were planted by hand, in another study's net."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.trees import assert_trees_equal

from lth_jax import masks as masks_lib
from lth_jax.analysis.transfer import KINDS, place, start
from lth_jax.lottery.arms import Origin, Rules
from lth_jax.masks import default_prunable
from lth_jax.training.state import initial_state

OWN = {  # of two replicates, told apart by their tenth
    "hidden": {"bias": np.array([[0.1], [0.2]]), "kernel": np.full((2, 3, 1), -2.0)},
    "output": {"kernel": np.array([[[5.1, 6.1]], [[5.2, 6.2]]])},
}
MASK = np.array([[[True], [False], [True]], [[False], [True], [True]]])
SOURCE = {
    "hidden/bias": np.array([[7.0], [8.0]]),
    "hidden/kernel": np.array([[[1.0], [0.0], [-3.0]], [[0.0], [-4.0], [5.0]]]),
}
KEPT = {"hidden/bias": np.full((2, 1), True), "hidden/kernel": MASK}


def source(**others):
    """With an output layer, of other shapes or pruned otherwise."""
    weights = SOURCE | {"output/kernel": np.full((2, 1, 2), 9.0)} | others
    masks = {path: KEPT.get(path, np.full(x.shape, True)) for path, x in weights.items()}
    return weights, masks


def test_leaves_arrive_at_their_places():
    weights, masks = source()
    given, misfits = place(OWN, default_prunable, weights, masks)
    assert misfits == {}
    assert_trees_equal(dict(masks_lib.named_leaves(given.weights)), weights)
    np.testing.assert_array_equal(given.masks["hidden"]["kernel"], MASK)
    assert sum(x.sum() for x in jax.tree.leaves(given.masks)) == 2 + 4 + 4


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ({"output/kernel": np.ones((2, 1, 4))}, {"output": "1x4, here 1x2"}),
        ({"output/kernel": None}, {"output": "not in the source"}),
        ({"hidden/bias": np.ones((2, 9))}, {"hidden": "9, here 1"}),
    ],
)
def test_layers_that_do_not_fit_stay_dense_and_own_and_are_named(others, why):
    weights, masks = source(**{k: x for k, x in others.items() if x is not None})
    weights = {path: x for path, x in weights.items() if others.get(path, x) is not None}
    given, misfits = place(OWN, default_prunable, weights, masks)
    assert misfits == why
    (layer,) = why
    assert_trees_equal(given.weights[layer], OWN[layer])
    assert all(x.all() for x in jax.tree.leaves(given.masks[layer]))
    (other,) = OWN.keys() - {layer}
    path = f"{other}/kernel"
    np.testing.assert_array_equal(given.weights[other]["kernel"], weights[path])
    np.testing.assert_array_equal(given.masks[other]["kernel"], masks[path])


def test_a_layer_that_the_target_never_prunes_is_not_pruned():
    prunable = masks_lib.excluding(("hidden",))
    given, misfits = place(OWN, prunable, *source())
    assert misfits == {"hidden": "pruned there, never here"}
    assert_trees_equal(given.weights["hidden"], OWN["hidden"])
    assert all(x.all() for x in jax.tree.leaves(given.masks))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_starts_with_what_it_says_compiled_and_over_members(kind):
    tx = optax.sgd(0.1)
    params = jax.tree.map(jnp.asarray, OWN)
    state = jax.vmap(lambda p: initial_state(p, tx, {}))(params)
    given, _ = place(params, default_prunable, *source())
    keys = jax.random.split(jax.random.key(0), 2)
    own = masks_lib.full(params)
    origin = Origin(own, state, state, None, None, None, keys, keys)
    rules = Rules(tx, lambda key: (params, {}))
    begin = jax.jit(jax.vmap(lambda *x: start(kind, *x, rules)))
    found = begin(origin, given)
    assert_trees_equal(found.masks, given.masks)
    expected = {
        "masks": ([0.1], [[-2.0], [0.0], [-2.0]]),
        "signs": ([0.1], [[2.0], [0.0], [-2.0]]),
        "tickets": ([7.0], [[1.0], [0.0], [-3.0]]),
    }
    bias, kernel = expected[kind]
    hidden = found.state.params["hidden"]
    np.testing.assert_allclose(hidden["bias"][0], bias)
    np.testing.assert_array_equal(hidden["kernel"][0], kernel)
