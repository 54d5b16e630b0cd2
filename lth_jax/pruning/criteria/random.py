"""Random: the baseline that reads no evidence."""

import jax
import numpy as np

from lth_jax.masks import Params
from lth_jax.pruning.criteria.criterion import Evidence
from lth_jax.removal import Scores


def random(evidence: Evidence) -> Scores:
    """Uniform scores: random pruning (Frankle & Carbin 2019, figure 1)."""
    return uniform_like(evidence.key, evidence.params)


def uniform_like(key: jax.Array, tree: Params) -> Scores:
    """Uniform float32 in [0, 1) for every entry of a pytree.

    It draws once for all leaves, since a draw for each leaf takes seconds to compile.
    """
    leaves, structure = jax.tree.flatten(tree)
    if not leaves:
        return tree
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = jax.numpy.split(jax.random.uniform(key, (ends[-1],)), ends[:-1])
    shaped = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(structure, shaped)
