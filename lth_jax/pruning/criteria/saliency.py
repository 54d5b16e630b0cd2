"""Saliency: what the loss, or its gradient, would miss.

All need `examples` and `apply` (without one, a ValueError), and take the net in
evaluation, so that nothing is drawn, and a weight's score does not depend on the other
examples through batch normalisation; at init its statistics are 0 and 1. SNIP's authors
do so too, GraSP's take the batch's statistics.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from lth_jax import masks as masks_lib
from lth_jax.masks import Params, default_prunable
from lth_jax.pruning.criteria.criterion import Evidence, check_real
from lth_jax.removal import Scores
from lth_jax.training.losses import CROSS_ENTROPY
from lth_jax.training.state import BatchStats

_TEMPERATURE = 200.0  # of GraSP's logits; the outputs of other losses are not logits


def saliency(evidence: Evidence) -> Scores:
    """|g * w| of the trained weights: the first-order change of the loss without w.

    Mozer & Smolensky 1989, of single weights.
    """
    loss = _loss(evidence, evidence.batch_stats)
    params = masks_lib.apply(evidence.masks, evidence.params)
    return jax.tree.map(lambda g, w: jnp.abs(g * w), jax.grad(loss)(params), params)


def snip(evidence: Evidence) -> Scores:
    """|g * w| at init: SNIP (Lee et al. 2019, algorithm 1).

    Their division by the sum of all does not change the order.
    """
    init, stats = evidence.init_params, evidence.init_batch_stats
    return saliency(evidence._replace(params=init, batch_stats=stats))


def grasp(evidence: Evidence) -> Scores:
    """The product w * (H g) at init: GraSP (Wang et al. 2020, algorithm 1).

    Theirs is its negative, of which the highest go: weights without which the gradient's
    norm would grow, or shrink least. As in the authors' code, g and H are of the kernels
    alone, and cross-entropy is of logits divided by 200.
    """
    temperature = _TEMPERATURE if evidence.loss == CROSS_ENTROPY else 1.0
    loss = _loss(evidence, evidence.init_batch_stats, temperature)
    check_real(evidence.init_params)
    params = masks_lib.apply(evidence.masks, evidence.init_params)
    gradient = jax.grad(loss)
    vector = _kernels(masks_lib.apply(evidence.masks, gradient(params)))

    def slope(params: Params) -> Float[jax.Array, ""]:
        found: jax.Array = optax.tree.vdot(gradient(params), vector)
        return found

    # Twice in reverse: the convolution of `lth_jax.models` has no forward mode.
    return jax.tree.map(lambda hg, w: hg * w, jax.grad(slope)(params), params)


def grasp_magnitude(evidence: Evidence) -> Scores:
    """|w * (H g)| at init: GraSP by magnitude (Frankle et al. 2021).

    "Pruning Neural Networks at Initialization: Why Are We Missing the Mark?".
    """
    return jax.tree.map(jnp.abs, grasp(evidence))


def _loss(
    evidence: Evidence, batch_stats: BatchStats, temperature: float = 1.0
) -> Callable[[Params], Float[jax.Array, ""]]:
    """Params to the mean loss of the examples."""
    examples, apply = evidence.need("examples", "apply")

    def loss(params: Params) -> Float[jax.Array, ""]:
        outputs, _ = apply(params, batch_stats, examples.inputs, False, None)
        return evidence.loss.per_example(outputs / temperature, examples.labels).mean()

    return loss


def _kernels(tree: Params) -> Params:
    """The tree with 0 for all but kernels."""
    zeros = jax.tree.map(jnp.zeros_like, tree)
    return masks_lib.map_prunable(lambda _, z, t: t, default_prunable, zeros, tree)
