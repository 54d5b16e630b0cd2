import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from lth_jax.lottery import stacking


@pytest.mark.parametrize("number", [1, 2])
def test_members_on_several_devices_are_split_on_the_host(number):
    """Sliced on the devices, they wait for one another, which can deadlock on CPU."""
    mesh = jax.make_mesh((4,), ("member",), axis_types=(AxisType.Auto,))
    whole = np.arange(24.0, dtype=np.float32).reshape(8, 3)
    tree = {"w": jax.device_put(whole, NamedSharding(mesh, P("member")))}
    parts = stacking.split(tree, number)
    np.testing.assert_array_equal(np.concatenate([p["w"] for p in parts]), whole)
    if number > 1:
        assert all(isinstance(part["w"], np.ndarray) for part in parts)
    else:
        assert parts[0] is tree  # nothing is moved or sliced


def test_members_are_repeated_and_left_out_again():
    tree = {
        "w": np.arange(15.0).reshape(5, 3),
        "key": jax.random.split(jax.random.key(0), 5),
    }
    more = stacking.filled(tree, 8)
    for i, of in enumerate([0, 1, 2, 3, 4, 4, 4, 4]):
        np.testing.assert_array_equal(more["w"][i], tree["w"][of])
        assert more["key"][i] == tree["key"][of]
    fewer = stacking.without_repeated(more["w"], 5)
    np.testing.assert_array_equal(fewer, tree["w"])
    assert stacking.filled(tree, 5) is tree and stacking.without_repeated(tree, 5) is tree
    assert stacking.filled(None, 8) is None
