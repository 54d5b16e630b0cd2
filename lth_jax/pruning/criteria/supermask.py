"""Supermask: keeps every weight of the init with a learned probability."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from lth_jax.masks import Params, Prunable, default_prunable
from lth_jax.pruning.criteria.criterion import Evidence
from lth_jax.pruning.criteria.learned import Learned, train_scores
from lth_jax.removal import Scores
from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss, make_loss
from lth_jax.training.state import Apply, Array, BatchStats


def bernoulli_mask(
    key: jax.Array, scores: Float[Array, "*shape"]
) -> Float[jax.Array, "*shape"]:
    """A draw from Bernoulli(sigmoid(scores)), with the gradient of the probabilities."""
    probabilities = jax.nn.sigmoid(scores)
    drawn = jax.random.bernoulli(key, jax.lax.stop_gradient(probabilities))
    # The difference is exactly 0, and has the gradient of the probabilities.
    straight_through = probabilities - jax.lax.stop_gradient(probabilities)
    return drawn.astype(scores.dtype) + straight_through


def supermask(
    apply_fn: Apply,
    params: Params,
    batch_stats: BatchStats,
    batch_indices: Int[Array, "steps batch"],
    examples: Examples,
    key: jax.Array,
    *,
    learning_rate: float = 100.0,
    momentum: float = 0.9,
    rescale: bool = False,
    prunable: Prunable = default_prunable,
    loss: Loss = CROSS_ENTROPY,
) -> Learned:
    """Scores m of w * Bernoulli(sigmoid(m)), by SGD from m = 0 (Zhou et al. 2019).

    This is their section on supermasks. Every step draws a new mask, and the weights stay
    as they are. The learning rate is as high as theirs: a score's gradient is its
    weight's gradient times the weight times at most 1/4. The function is pure, and works
    under `jit` and `vmap`.

    Each row of `batch_indices`, as of `sampling.batch_indices`, is a step. The key is for
    the masks, and for nets that draw. `rescale` divides each leaf by the fraction kept
    (dynamic weight rescaling). The highest scores are the likeliest to be kept.
    """
    return train_scores(
        lambda _, key, scores: bernoulli_mask(key, scores),
        optax.sgd(learning_rate, momentum),
        jax.tree.map(jnp.zeros_like, params),
        make_loss(apply_fn, loss),
        *(params, batch_stats, batch_indices, examples, key),
        prunable=prunable,
        rescale=rescale,
    )


def supermask_scores(evidence: Evidence) -> Scores:
    """Learned m, where a weight is kept with probability sigmoid(m): `supermask`.

    It needs `Evidence.for_learning`.
    """
    return supermask(*evidence.for_learning(), loss=evidence.loss).scores


def supermask_rescaled_scores(evidence: Evidence) -> Scores:
    """Learned m of `supermask`, with dynamic weight rescaling while it is learned."""
    return supermask(*evidence.for_learning(), rescale=True, loss=evidence.loss).scores
