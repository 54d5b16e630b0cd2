"""Learned masks: scores trained by gradient descent, while the weights stay constant.

This file has the parts that the methods share. `prune_to_density` makes an exact mask
from the scores. `evaluate_untrained` measures the net under that mask.
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

# A function from a leaf's place in `tree_flatten` order, a key and its scores to its
# mask: floats of 0 or 1, with a gradient.
LeafMask = Callable[[int, jax.Array, jax.Array], jax.Array]


class Learned(NamedTuple):
    """The scores and batch statistics that learning a mask returns.

    The lowest scores are removed first. They are 0 in leaves that are never pruned. The
    batch statistics are those of the masked nets during learning.
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
    """Trains scores on the mean loss of the masked net, one step for each batch.

    It is pure, and works under `jit` and `vmap`. Leaves that are never pruned have no
    mask. Scores learn by the gradient of the masks. `rescale` divides each leaf by the
    fraction that its mask keeps (Zhou et al. 2019, dynamic weight rescaling). The
    gradient flows through this division, as in their code.
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
    """The metrics of a masked net on all examples, without training of its weights.

    The statistics should be those of `Learned`, since those of the init do not fit a
    masked net. `rescale` should be as it was while the mask was learned.
    """
    weights = masks_lib.apply(masks, params)
    if rescale:
        weights = jax.tree.map(_rescaled, weights, masks)
    state = TrainState(jnp.int32(0), weights, batch_stats, ())
    return make_evaluate(apply_fn, loss)(state, examples)


def _rescaled(
    p: Float[jax.Array, "*shape"], mask: Shaped[Array, "*shape"]
) -> Float[jax.Array, "*shape"]:
    # An empty mask leaves nothing to rescale, and must not divide by 0.
    return p * (mask.size / jnp.maximum(mask.sum(), 1))
