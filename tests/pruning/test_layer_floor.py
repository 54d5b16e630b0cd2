import jax.numpy as jnp
import numpy as np
import pytest

from lth_jax import masks, pruning
from lth_jax.pruning.layer_floor import FloorError, remove_above_floor
from lth_jax.removal import remove_lowest

# The net's lowest four scores are all of `b`.
SCORES = {
    "a": jnp.array([[5.0, 6.0, 7.0]]),
    "b": jnp.array([[1.0, 2.0], [2.0, 0.5]]),
    "c": jnp.array([[8.0, 3.0]]),
}


def prune(floor, density=4 / 9):
    full = masks.full(SCORES)
    return pruning.prune_to_density(SCORES, full, density, scope="global", floor=floor)


def test_the_highest_of_a_layer_stay_and_others_give_what_they_keep():
    with pytest.warns(UserWarning, match="floor of 1 keeps .* in b$"):
        kept = prune(1)
    # Of b's two scores of 2 the lower index stays; c gives its 3.
    np.testing.assert_array_equal(kept["b"], [[False, True], [False, False]])
    np.testing.assert_array_equal(kept["c"], [[True, False]])
    np.testing.assert_array_equal(kept["a"], [[False, True, True]])
    assert masks.total_count(kept).kept == 4


def test_a_floor_that_changes_nothing_is_plain_removal():
    kept = prune(1, density=6 / 9)
    removed = remove_lowest(SCORES, masks.full(SCORES), 3)
    for name in SCORES:
        np.testing.assert_array_equal(kept[name], removed[name])


def test_without_a_floor_an_emptied_layer_is_an_error():
    with pytest.raises(FloorError, match="floor: 0; b would be left without a weight"):
        prune(0)


def test_a_floor_above_what_may_stay_is_an_error():
    with pytest.raises(FloorError, match=r"floor: 2; .* protects 6, and 4 are"):
        prune(2)


def test_a_layer_below_the_floor_keeps_all_and_an_empty_one_stays_empty():
    full = masks.full(SCORES)
    full["b"] = jnp.array([[True, False], [False, False]])
    full["c"] = jnp.zeros_like(full["c"])
    with pytest.warns(UserWarning, match="in b$"):
        kept = remove_above_floor(SCORES, full, 1, floor=2)
    assert {n: int(m.sum()) for n, m in kept.items()} == {"a": 2, "b": 1, "c": 0}
