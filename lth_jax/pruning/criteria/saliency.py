"""Saliency: the effect of removing a weight on the loss, or on its gradient.

All criteria here need `examples` and `apply`, and raise a ValueError without one. They
apply the net in evaluation. It then draws nothing, and batch normalisation does not mix
examples; at init its statistics are 0 and 1. The authors of SNIP also do this, and the
authors of GraSP use the statistics of the batch.
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

_TEMPERATURE = 200.0  # of GraSP's logits; only cross-entropy takes logits


def saliency(evidence: Evidence) -> Scores:
    """|g * w| of the trained weights: the first-order change of the loss without w.

    Mozer & Smolensky 1989, applied to single weights.
    """
    loss = _loss(evidence, evidence.batch_stats)
    params = masks_lib.apply(evidence.masks, evidence.params)
    return jax.tree.map(lambda g, w: jnp.abs(g * w), jax.grad(loss)(params), params)


def snip(evidence: Evidence) -> Scores:
    """|g * w| at init: SNIP (Lee et al. 2019, algorithm 1).

    Their division by the sum of all scores does not change the order, and is left out.
    """
    init, stats = evidence.init_params, evidence.init_batch_stats
    return saliency(evidence._replace(params=init, batch_stats=stats))


def grasp(evidence: Evidence) -> Scores:
    """The product w * (H g) at init: GraSP (Wang et al. 2020, algorithm 1).

    Their score is the negative, and they remove the highest. These are the weights whose
    removal raises the gradient's norm, or lowers it least. As in the authors' code, g and
    H are those of the kernels alone, and cross-entropy takes logits divided by 200.
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

    # Reverse mode twice, since the convolution of `lth_jax.models` has no forward mode.
    return jax.tree.map(lambda hg, w: hg * w, jax.grad(slope)(params), params)


def grasp_magnitude(evidence: Evidence) -> Scores:
    """|w * (H g)| at init: GraSP by magnitude (Frankle et al. 2021).

    "Pruning Neural Networks at Initialization: Why Are We Missing the Mark?".
    """
    return jax.tree.map(jnp.abs, grasp(evidence))


def _loss(
    evidence: Evidence, batch_stats: BatchStats, temperature: float = 1.0
) -> Callable[[Params], Float[jax.Array, ""]]:
    """A function from params to the mean loss of the examples, float32[]."""
    examples, apply = evidence.need("examples", "apply")

    def loss(params: Params) -> Float[jax.Array, ""]:
        outputs, _ = apply(params, batch_stats, examples.inputs, False, None)
        return evidence.loss.per_example(outputs / temperature, examples.labels).mean()

    return loss


def _kernels(tree: Params) -> Params:
    """The tree with 0 in all leaves that are no kernels."""
    zeros = jax.tree.map(jnp.zeros_like, tree)
    return masks_lib.map_prunable(lambda _, z, t: t, default_prunable, zeros, tree)
