"""Magnitude: removes the smallest trained weights first."""

import jax
import jax.numpy as jnp

from lth_jax.pruning.criteria.criterion import Evidence
from lth_jax.removal import Scores


def magnitude(evidence: Evidence) -> Scores:
    """|w| at the end of training (Frankle & Carbin 2019, section 2)."""
    return jax.tree.map(jnp.abs, evidence.params)
