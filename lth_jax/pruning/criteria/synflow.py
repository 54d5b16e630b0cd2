"""SynFlow: a weight's share of the flow through the net, without data."""

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.leaves import told_axes
from lth_jax.masks import Params, default_prunable
from lth_jax.pruning.criteria.criterion import Evidence
from lth_jax.removal import Scores

_TINY = np.finfo(np.float32).tiny


def synflow(evidence: Evidence) -> Scores:
    """|w * dR/dw| / R at init: SynFlow (Tanaka et al. 2020, algorithm 1).

    R is the sum of the outputs on an all-ones input with |w| for every w. The division by
    R keeps the order; in a net without shortcuts or shifts the scores of each layer then
    add up to 1. If R leaves the range of float32, as in deep nets, layers are scaled.
    This changes no score of such a net, and in any other net all scores are NaN. They are
    the scores of one round (see `lth_jax.prune_in_rounds`).

    Raises:
      ValueError: without `evidence.apply_to_ones`.
    """
    (apply_to_ones,) = evidence.need("apply_to_ones")
    params = masks_lib.apply(evidence.masks, evidence.init_params)
    sizes = jax.tree.map(jnp.abs, params)

    def scores(sizes: Params) -> tuple[Scores, jax.Array]:
        def log_flow(sizes: Params) -> tuple[jax.Array, jax.Array]:
            flow = apply_to_ones(sizes, evidence.init_batch_stats).sum()
            # In a net cut in two the flow and all scores are 0.
            return jnp.log(jnp.maximum(flow, _TINY)), flow

        (_, flow), gradients = jax.value_and_grad(log_flow, has_aux=True)(sizes)
        return jax.tree.map(jnp.multiply, gradients, sizes), flow

    def scaled() -> Scores:
        paths = [path for path, _ in masks_lib.named_leaves(sizes)]
        found, flow = scores(
            masks_lib.map_prunable(
                lambda i, leaf: _scaled(paths[i], leaf), default_prunable, sizes
            )
        )
        sums = [s.sum() for _, s in masks_lib.prunable_leaves(found)]
        # Where a layer's scores add up to 1, the flow is in proportion to the layer.
        is_right = jnp.allclose(jnp.stack(sums), 1, atol=1e-3) | (flow == 0)
        return jax.tree.map(lambda s: jnp.where(is_right, s, jnp.nan), found)

    found, flow = scores(sizes)
    is_in_range = (flow > _TINY) & jnp.isfinite(flow)
    result: Scores = jax.lax.cond(is_in_range, lambda: found, scaled)
    return result


def _scaled(path: str, weights: jax.Array) -> jax.Array:
    """Weights divided by a power of two, so that those of a unit add up to about 1."""
    axes = told_axes(path, weights)
    num_units = axes.shape(weights)[-1] if axes else weights.shape[-1]
    total = weights.sum(dtype=jnp.float32)
    scale = jnp.exp2(-jnp.round(jnp.log2(jnp.maximum(total / num_units, _TINY))))
    return (weights * scale).astype(weights.dtype)
