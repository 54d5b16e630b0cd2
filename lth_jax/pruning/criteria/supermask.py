"""Supermask: every weight of the init is kept with a probability that is learned."""

import jax
import jax.numpy as jnp
import optax

from lth_jax.masks import Params, Prunable, default_prunable
from lth_jax.pruning.criteria.learned import Learned, train_scores
from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss
from lth_jax.training.state import Apply, BatchStats


def bernoulli_mask(key: jax.Array, scores: jax.Array) -> jax.Array:
    """A draw from Bernoulli(sigmoid(scores)), with the gradient of the probabilities."""
    probabilities = jax.nn.sigmoid(scores)
    drawn = jax.random.bernoulli(key, jax.lax.stop_gradient(probabilities))
    # What is subtracted from itself is 0, exactly, and has a gradient.
    straight_through = probabilities - jax.lax.stop_gradient(probabilities)
    return drawn.astype(scores.dtype) + straight_through


def supermask(
    apply_fn: Apply,
    params: Params,
    batch_stats: BatchStats,
    batch_indices: jax.Array,
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

    Their section on supermasks; a mask is drawn anew at every step. Pure; works under
    `jit` and `vmap`.

    Args:
      apply_fn: the net.
      params: the weights, which stay as they are.
      batch_stats: the net's; empty without batch normalisation.
      batch_indices: int32[T, B], of `sampling.batch_indices`; a step for each row.
      examples: what they point into.
      key: for the masks, and for nets that draw.
      learning_rate: as high as theirs, since a score's gradient is that of its weight
        times the weight times at most 1/4.
      momentum: of SGD.
      rescale: dynamic weight rescaling: each leaf divided by the fraction kept.
      prunable: which leaves have a mask.
      loss: what the net is trained for.

    Returns:
      Scores, of which the highest are the likeliest to be kept, and statistics.
    """
    scores = jax.tree.map(jnp.zeros_like, params)
    return train_scores(
        lambda _, key, scores: bernoulli_mask(key, scores),
        optax.sgd(learning_rate, momentum),
        scores,
        apply_fn,
        params,
        batch_stats,
        batch_indices,
        examples,
        key,
        prunable=prunable,
        loss=loss,
        rescale=rescale,
    )
