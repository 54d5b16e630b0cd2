"""Learned masks: scores trained by gradient descent, while the weights stay as they are.

What the methods share; each has a file of its own. `prune_to_density` makes an exact mask
of the scores, `evaluate_untrained` tells what the net under it is worth.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from lth_jax import masks as masks_lib
from lth_jax.masks import Masks, Params, Prunable
from lth_jax.removal import Scores
from lth_jax.training.evaluation import make_evaluate
from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss, Metrics, make_loss
from lth_jax.training.state import Apply, BatchStats, TrainState

# Of one prunable leaf, (its place in `tree_flatten` order, key, scores) to its mask:
# floats, 0 or 1 but for the gradient.
LeafMask = Callable[[int, jax.Array, jax.Array], jax.Array]


class Learned(NamedTuple):
    """What training a mask gives.

    Attributes:
      scores: float leaves like the params, of which low goes first; 0 where a leaf is
        never pruned.
      batch_stats: running statistics of the masked nets that were seen on the way.
    """

    scores: Scores
    batch_stats: BatchStats


def train_scores(
    leaf_mask: LeafMask,
    tx: optax.GradientTransformation,
    scores: Scores,
    apply_fn: Apply,
    params: Params,
    batch_stats: BatchStats,
    batch_indices: jax.Array,
    examples: Examples,
    key: jax.Array,
    *,
    prunable: Prunable,
    rescale: bool = False,
    loss: Loss = CROSS_ENTROPY,
) -> Learned:
    """Trains scores for the mean loss of the masked net, a step for each batch.

    Pure; works under `jit` and `vmap`. Leaves that are never pruned take part unmasked.

    Args:
      leaf_mask: scores to a mask; its gradient is what the scores learn by.
      tx: the scores' optimizer.
      scores: to begin with, float leaves like the params.
      apply_fn: the net, in training.
      params: the weights, which stay as they are.
      batch_stats: the net's; empty without batch normalisation.
      batch_indices: int32[T, B], of `sampling.batch_indices`.
      examples: what they point into.
      key: for masks that are drawn, and for nets that draw.
      prunable: which leaves have a mask.
      rescale: divides each leaf by the fraction that its mask keeps (Zhou et al. 2019,
        dynamic weight rescaling); the gradient flows through it, as in their code.
      loss: what the net is trained for.
    """
    chex.assert_trees_all_equal_shapes(scores, params)
    chex.assert_rank(batch_indices, 2)
    chex.assert_type(batch_indices, int)
    net_loss = make_loss(apply_fn, loss)

    def masked(scores: Scores, key: jax.Array) -> Params:
        def act(i: int, p: jax.Array, scores: jax.Array) -> jax.Array:
            mask = leaf_mask(i, jax.random.fold_in(key, i), scores)
            return _rescaled(p * mask, mask) if rescale else p * mask

        return masks_lib.map_prunable(act, prunable, params, scores)

    def loss_fn(
        scores: Scores, batch_stats: BatchStats, indices: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, BatchStats]:
        mask_key, net_key = jax.random.split(key)
        inputs, labels = examples.inputs[indices], examples.labels[indices]
        return net_loss(masked(scores, mask_key), batch_stats, inputs, labels, net_key)

    def step(
        carry: tuple[Scores, BatchStats, optax.OptState],
        batch: tuple[jax.Array, jax.Array],
    ) -> tuple[tuple[Scores, BatchStats, optax.OptState], None]:
        scores, batch_stats, opt_state = carry
        number, indices = batch
        gradients, batch_stats = jax.grad(loss_fn, has_aux=True)(
            scores, batch_stats, indices, jax.random.fold_in(key, number)
        )
        updates, opt_state = tx.update(gradients, opt_state, scores)
        return (optax.apply_updates(scores, updates), batch_stats, opt_state), None

    begin = scores, batch_stats, tx.init(scores)
    batches = jnp.arange(batch_indices.shape[0]), batch_indices
    (scores, batch_stats, _), _ = jax.lax.scan(step, begin, batches)
    return Learned(scores, batch_stats)


def evaluate_untrained(
    apply_fn: Apply,
    params: Params,
    masks: Masks,
    batch_stats: BatchStats,
    examples: Examples,
    *,
    rescale: bool = False,
    loss: Loss = CROSS_ENTROPY,
) -> Metrics:
    """What a net is worth under a mask, without any training of its weights.

    Args:
      apply_fn: the net.
      params: the weights.
      masks: bool leaves, such as of `prune_to_density`.
      batch_stats: of `Learned`: those of the init fit no masked net.
      examples: to evaluate on.
      rescale: as the mask was trained.
      loss: what is measured.
    """
    weights = masks_lib.apply(masks, params)
    if rescale:
        weights = jax.tree.map(_rescaled, weights, masks)
    state = TrainState(jnp.int32(0), weights, batch_stats, ())
    return make_evaluate(apply_fn, loss)(state, examples)


def _rescaled(p: jax.Array, mask: jax.Array) -> jax.Array:
    # Of an empty mask there is nothing to rescale.
    return p * (mask.size / jnp.maximum(mask.sum(), 1))
