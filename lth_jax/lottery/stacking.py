"""Stacking: the members of several jobs as one tree, and apart again."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from lth_jax import devices


def stacked(trees: Sequence[Any]) -> Any:
    """Trees of members as one, along their leading axis."""
    if len(trees) == 1:
        return trees[0]
    # On the host, since jobs may lie on different devices.
    parts = devices.on_host(list(trees))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def split(tree: Any, number: int) -> list[Any]:
    """As many trees, of the members of one job each."""
    if number == 1:
        return [tree]
    # On the host: members lie on several devices, and slicing there makes these wait for
    # one another, which on CPU can deadlock.
    tree = devices.on_host(tree)
    return [
        jax.tree.map(lambda x, i=i: np.split(x, number)[i], tree) for i in range(number)
    ]
