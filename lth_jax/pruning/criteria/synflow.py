"""SynFlow: a weight's share of what flows through the net, without data."""

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.masks import Params
from lth_jax.pruning.criteria.criterion import Evidence
from lth_jax.removal import Scores

_TINY = np.finfo(np.float32).tiny


def synflow(evidence: Evidence) -> Scores:
    """|w * dR/dw| / R at init: SynFlow (Tanaka et al. 2020, algorithm 1).

    R is the sum of the outputs on an all-ones input with |w| for every w. Divided by it,
    the scores of each layer of a net without shortcuts or shifts add up to 1, and nothing
    overflows before R does; the order is the same. They are scores of one round (see
    `lth_jax.prune_in_rounds`), and need `apply_to_ones` (without it, a ValueError).
    """
    (apply_to_ones,) = evidence.need("apply_to_ones")
    params = masks_lib.apply(evidence.masks, evidence.init_params)
    sizes = jax.tree.map(jnp.abs, params)

    def log_flow(sizes: Params) -> jax.Array:
        flow = apply_to_ones(sizes, evidence.init_batch_stats).sum()
        return jnp.log(jnp.maximum(flow, _TINY))  # of a net cut in two all scores are 0

    return jax.tree.map(jnp.multiply, jax.grad(log_flow)(sizes), sizes)
