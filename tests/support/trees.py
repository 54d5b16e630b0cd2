"""Trees: pytrees and configs compared."""

import dataclasses

import jax
import numpy as np


def as_dict(config) -> dict:
    """A config as the nested dict that `lth_config.read` takes."""
    return dataclasses.asdict(config)


def assert_trees_equal(a, b) -> None:
    """Bit for bit, structure and dtype included."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)
