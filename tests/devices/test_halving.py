import jax.numpy as jnp
import numpy as np

from lth_jax.devices import over_members
from lth_jax.devices.halving import Halving


def test_parts_of_other_sizes_lie_on_other_devices():
    sizes = []

    def make(num_members):
        sizes.append(num_members)
        return over_members(lambda x, y: {"sum": x + y}, num_members)

    x = jnp.arange(10.0).reshape(5, 2)
    found = Halving(2).run(make, x, jnp.ones(5))
    assert sizes == [1, 2, 2]
    np.testing.assert_array_equal(found["sum"], x + 1)
