"""Magnitude: small trained weights go first."""

import jax
import jax.numpy as jnp

from lth_jax.masks import Params
from lth_jax.pruning.criteria.evidence import Evidence


def magnitude(evidence: Evidence) -> Params:
    """|w| at the end of training (Frankle & Carbin 2019, section 2)."""
    return jax.tree.map(jnp.abs, evidence.params)
