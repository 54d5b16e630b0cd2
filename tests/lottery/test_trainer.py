import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from lth_jax.lottery import trainer


@pytest.mark.parametrize("number", [1, 2])
def test_members_on_several_devices_are_split_on_the_host(number):
    """Sliced on the devices, they wait for one another, which can deadlock on CPU."""
    mesh = jax.make_mesh((4,), ("member",), axis_types=(AxisType.Auto,))
    whole = np.arange(24.0, dtype=np.float32).reshape(8, 3)
    tree = {"w": jax.device_put(whole, NamedSharding(mesh, P("member")))}
    parts = trainer._split(tree, number)
    np.testing.assert_array_equal(np.concatenate([p["w"] for p in parts]), whole)
    if number > 1:
        assert all(isinstance(part["w"], np.ndarray) for part in parts)
    else:
        assert parts[0] is tree  # nothing is moved or sliced
