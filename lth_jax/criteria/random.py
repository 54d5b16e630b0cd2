"""Random: the baseline that looks at nothing."""

import jax

from lth_jax.core.masks import Params
from lth_jax.criteria.evidence import Evidence


def random(evidence: Evidence) -> Params:
    """Uniform scores: random pruning (Frankle & Carbin 2019, figure 1)."""
    leaves, structure = jax.tree.flatten(evidence.params)
    keys = jax.random.split(evidence.key, len(leaves))
    scores = [jax.random.uniform(k, p.shape) for k, p in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, scores)
