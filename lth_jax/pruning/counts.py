"""Counts: how many weights of each leaf a density keeps."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from lth_jax.masks import Masks, Prunable, default_prunable, named_leaves
from lth_jax.training.connections import Counts


def counts_at(
    density: float | Mapping[str, float],
    masks: Masks,
    prunable: Prunable = default_prunable,
) -> Counts:
    """`round(density * size)` of each prunable leaf, and all of any other.

    Args:
      density: of every prunable leaf, or by its path.
      masks: for their shapes.
      prunable: which leaves may be pruned.

    Returns:
      int32 scalars of the masks' structure.
    """

    def count(path: str, leaf: Any) -> np.int32:
        if not prunable(path, leaf):
            return np.int32(leaf.size)
        own = density[path] if isinstance(density, Mapping) else density
        return np.int32(round(own * leaf.size))

    leaves = [count(path, leaf) for path, leaf in named_leaves(masks)]
    return jax.tree.unflatten(jax.tree.structure(masks), leaves)
