"""Talk: what processes tell each other, tried in each of them."""

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from lth_jax import devices
from lth_jax.config import ConfigError
from lth_jax.devices.mesh import make_mesh
from lth_jax.devices.processes import put
from lth_jax.errors import UserError


class Unpicklable(Exception):
    """An error that cannot be read back."""

    def __init__(self, more, than_one):
        super().__init__("odd")


def raising(error):
    def raise_it():
        raise error

    return raise_it


def main():
    own, is_first = jax.process_index(), jax.process_index() == 0
    assert devices.is_first() == is_first
    calls = []

    def make():
        calls.append(own)
        inner = devices.from_first(lambda: {"own": own, "x": jax.numpy.arange(3) + own})
        return {**inner, "text": "ß" * 5000, "none": None}

    found = devices.from_first(make)
    assert (found["own"], found["none"], calls) == (0, None, [0] if is_first else [])
    assert found["text"] == "ß" * 5000
    np.testing.assert_array_equal(found["x"], [0, 1, 2])
    assert devices.differ(own) and not devices.differ("alike")
    assert devices.any_of(own == 1) and not devices.any_of(False)
    with pytest.raises(ConfigError, match="of the first") as raised:
        devices.from_first(raising(ConfigError(f"of {'the first' if is_first else own}")))
    assert raised.value.is_told != is_first
    for failing in (0, 1):
        local = raising(ConfigError("mine")) if own == failing else lambda: own
        told = "mine" if own == failing else "another process of this job failed"
        with pytest.raises(UserError, match=told) as raised:
            devices.by_all(local)
        assert raised.value.is_common
    assert devices.by_all(lambda: own) == own
    large = np.arange(2**25 + 3, dtype=np.uint8)  # more than is sent at once
    heard = devices.from_first(lambda: large)
    np.testing.assert_array_equal(heard, large)
    with pytest.raises(Unpicklable if is_first else RuntimeError, match="odd"):
        devices.from_first(raising(Unpicklable(1, 2)))
    with pytest.raises(ZeroDivisionError):
        devices.by_first(lambda x: 1 / x)(0)
    assert devices.by_first(lambda x: x + own)(5) == 5  # and they talk on
    values = np.arange(24.0, dtype=np.float32).reshape(8, 3)
    for mesh, spec in ((make_mesh(8), P("member")), (make_mesh(2, 2), P("member", None))):
        tree = {"a": values[: mesh.size], "keys": jax.random.split(jax.random.key(3), 8)}
        tree["keys"] = tree["keys"][: mesh.size]
        spread = put(tree, NamedSharding(mesh, spec))
        assert not spread["a"].is_fully_addressable
        again = put(spread, NamedSharding(mesh, P()))
        zeros = put(np.full(8, -0.0)[: mesh.size], NamedSharding(mesh, P("member")))
        assert np.signbit(devices.on_host(zeros)).all()
        np.testing.assert_array_equal(devices.on_host(spread["a"]), tree["a"])
        np.testing.assert_array_equal(devices.on_host(again["a"]), tree["a"])
        data = jax.random.key_data(spread["keys"])
        expected = jax.random.key_data(tree["keys"])
        np.testing.assert_array_equal(devices.on_host(data), expected)


if __name__ == "__main__":
    main()
