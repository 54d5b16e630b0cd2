"""Stacking: joins the members of several jobs in one pytree, and splits them again."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax import devices


def stacked(trees: Sequence[Any]) -> Any:
    """The members of all trees in one tree, with a leading axis M."""
    if len(trees) == 1:
        return trees[0]
    # They are joined on the host, since jobs may lie on different devices.
    parts = devices.on_host(list(trees))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def split(tree: Any, number: int) -> list[Any]:
    """A tree cut into `number` trees, each with the members of one job."""
    if number == 1:
        return [tree]
    # Members lie on several devices. Slicing there makes the devices wait for one
    # another, which can deadlock on CPU; the tree is therefore cut on the host.
    tree = devices.on_host(tree)
    return [
        jax.tree.map(lambda x, i=i: np.split(x, number)[i], tree) for i in range(number)
    ]


def filled(tree: Any, number: int) -> Any:
    """Stacked members, with the last repeated until there are `number`."""
    leaves = jax.tree.leaves(tree)
    more = number - len(leaves[0]) if leaves else 0
    if not more:
        return tree
    tree = devices.readable(tree)
    return jax.tree.map(lambda x: jnp.concatenate([x, *[x[-1:]] * more]), tree)


def without_repeated(tree: Any, number: int) -> Any:
    """The first `number` members; undoes `filled`."""
    if len(jax.tree.leaves(tree)[0]) == number:
        return tree
    return jax.tree.map(lambda x: x[:number], devices.on_host(tree))
