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
from jaxtyping import Float, Int, Shaped

from lth_jax import masks as masks_lib
from lth_jax.masks import Masks, Params, Prunable
from lth_jax.pruning.criteria.criterion import check_real
from lth_jax.removal import Scores
from lth_jax.training.evaluation import make_evaluate
from lth_jax.training.losses import CROSS_ENTROPY, BatchLoss, Examples, Loss, Metrics
from lth_jax.training.state import Apply, Array, BatchStats, TrainState

# Of one prunable leaf, (its place in `tree_flatten` order, key, scores) to its mask:
# floats, 0 or 1 except in the gradient.
LeafMask = Callable[[int, jax.Array, jax.Array], jax.Array]


class Learned(NamedTuple):
    """What training a mask gives.

    Low scores go first; they are 0 where a leaf is never pruned. The batch statistics are
    those of the masked nets that were seen on the way.
    """

    scores: Scores
    batch_stats: BatchStats


def train_scores(
    leaf_mask: LeafMask,
    tx: optax.GradientTransformation,
    scores: Scores,
    batch_loss: BatchLoss,
    params: Params,
    batch_stats: BatchStats,
    batch_indices: Int[Array, "steps batch"],
    examples: Examples,
    key: jax.Array,
    *,
    prunable: Prunable,
    rescale: bool = False,
) -> Learned:
    """Trains scores for the mean loss of the masked net, a step for each batch.

    Pure; works under `jit` and `vmap`. Leaves that are never pruned take part unmasked.
    Scores learn by the gradient of the masks. `rescale` divides each leaf by the fraction
    that its mask keeps (Zhou et al. 2019, dynamic weight rescaling); the gradient flows
    through it, as in their code.
    """
    check_real(params)
    chex.assert_trees_all_equal_shapes(scores, params)
    chex.assert_rank(batch_indices, 2)
    chex.assert_type(batch_indices, int)

    def masked(scores: Scores, key: jax.Array) -> Params:
        def act(i: int, p: jax.Array, scores: jax.Array) -> jax.Array:
            mask = leaf_mask(i, jax.random.fold_in(key, i), scores)
            return _rescaled(p * mask, mask) if rescale else p * mask

        return masks_lib.map_prunable(act, prunable, params, scores)

    def loss_fn(
        scores: Scores, stats: BatchStats, indices: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, BatchStats]:
        mask_key, net_key = jax.random.split(key)
        inputs, labels = examples.inputs[indices], examples.labels[indices]
        return batch_loss(masked(scores, mask_key), stats, inputs, labels, net_key)

    def step(
        carry: tuple[Learned, optax.OptState], batch: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[Learned, optax.OptState], None]:
        ((scores, stats), opt_state), (number, indices) = carry, batch
        gradients, stats = jax.grad(loss_fn, has_aux=True)(
            scores, stats, indices, jax.random.fold_in(key, number)
        )
        updates, opt_state = tx.update(gradients, opt_state, scores)
        return (Learned(optax.apply_updates(scores, updates), stats), opt_state), None

    begin = Learned(scores, batch_stats), tx.init(scores)
    batches = jnp.arange(batch_indices.shape[0]), jnp.asarray(batch_indices)
    (learned, _), _ = jax.lax.scan(step, begin, batches)
    return learned


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

    The statistics are those of `Learned`, since those of the init fit no masked net.
    Rescale what was rescaled while the mask was trained.
    """
    weights = masks_lib.apply(masks, params)
    if rescale:
        weights = jax.tree.map(_rescaled, weights, masks)
    state = TrainState(jnp.int32(0), weights, batch_stats, ())
    return make_evaluate(apply_fn, loss)(state, examples)


def _rescaled(
    p: Float[jax.Array, "*shape"], mask: Shaped[Array, "*shape"]
) -> Float[jax.Array, "*shape"]:
    # Of an empty mask there is nothing to rescale.
    return p * (mask.size / jnp.maximum(mask.sum(), 1))
