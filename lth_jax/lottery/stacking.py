"""Stacking: the members of several jobs in one pytree, and apart again."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax import devices


def stacked(trees: Sequence[Any]) -> Any:
    """The members of all trees, in one with a leading axis M."""
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


def filled(tree: Any, number: int) -> Any:
    """Stacked members, the last repeated so that there are so many."""
    leaves = jax.tree.leaves(tree)
    more = number - len(leaves[0]) if leaves else 0
    if not more:
        return tree
    tree = devices.readable(tree)
    return jax.tree.map(lambda x: jnp.concatenate([x, *[x[-1:]] * more]), tree)


def without_repeated(tree: Any, number: int) -> Any:
    """The first so many members; undoes `filled`."""
    if len(jax.tree.leaves(tree)[0]) == number:
        return tree
    return jax.tree.map(lambda x: x[:number], devices.on_host(tree))
