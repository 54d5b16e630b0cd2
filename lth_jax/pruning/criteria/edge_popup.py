"""Edge-popup: of each layer of the init, the weights with the highest learned scores."""

import chex
import jax
import jax.numpy as jnp
from jax.nn.initializers import variance_scaling
from jaxtyping import Float, Int

from lth_jax import masks as masks_lib
from lth_jax.leaves import AxesOf, axes_of, checked_axes
from lth_jax.masks import Params, Prunable, default_prunable
from lth_jax.pruning.criteria.criterion import Evidence
from lth_jax.pruning.criteria.learned import Learned, train_scores
from lth_jax.removal import Scores, remove_lowest
from lth_jax.training.connections import Counts
from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss, make_loss
from lth_jax.training.optimizers import make_optimizer
from lth_jax.training.schedules import make_schedule
from lth_jax.training.state import Apply, Array, BatchStats


def top_mask(
    scores: Float[Array, "*shape"], count: Int[Array, ""] | int
) -> Float[jax.Array, "*shape"]:
    """1 for so many of the highest |scores|, else 0; of the gradient of |s|.

    So exactly the mask that `prune_to_density` makes of |scores|.
    """
    magnitudes = jnp.abs(scores)
    fixed = jax.lax.stop_gradient(magnitudes)
    kept = remove_lowest(fixed, jnp.ones(scores.shape, bool), scores.size - count)
    # What is subtracted from itself is 0, exactly, and has a gradient.
    mask: jax.Array = kept.astype(scores.dtype) + (magnitudes - fixed)
    return mask


def edge_popup(
    apply_fn: Apply,
    params: Params,
    batch_stats: BatchStats,
    batch_indices: Int[Array, "steps batch"],
    examples: Examples,
    key: jax.Array,
    *,
    density: float = 0.5,
    counts: Counts | None = None,
    learning_rate: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    prunable: Prunable = default_prunable,
    loss: Loss = CROSS_ENTROPY,
    axes: AxesOf = axes_of,
) -> Learned:
    """Scores |s| of the net that keeps each layer's highest (Ramanujan et al. 2020).

    Section 3; scores begin Kaiming-uniform, and learn by SGD with a cosine schedule to
    the last batch. As in the authors' code it is |s| that is ranked, and the gradient of
    s has its sign. Theirs is a net whose normalisation has no scale and bias, best with
    weights of +-a constant, as `actions.constant` makes them.

    The density in (0, 1), their k (otherwise a ValueError), is of each layer in training;
    counts, which may be traced, are in its place how many weights each leaf keeps. The
    learning rate is the peak, and weight decay of the scores; axes are of
    each leaf by (path, leaf), and tell its fan-in (as for `keep_n_of_m`); all else is as
    for `supermask`. Of the scores `prune_to_density(…, density)` makes the mask of the
    next step.
    """
    if counts is None:
        if not 0 < density < 1:
            raise ValueError(f"density: {density}; must be inside (0, 1)")
        counts = jax.tree.map(lambda p: round(density * p.size), params)
    chex.assert_trees_all_equal_structs(counts, params)
    count_of = jax.tree.leaves(counts)
    score_key, draw_key = jax.random.split(key)

    leaves = masks_lib.named_leaves(params)

    def first(i: int, zeros: jax.Array) -> jax.Array:
        # Kaiming-uniform with a = sqrt(5), PyTorch's own: within 1 / sqrt(fan_in).
        own = checked_axes(axes, *leaves[i])
        init = variance_scaling(1 / 3, "fan_in", "uniform", own.inputs, own.units)
        own_key = jax.random.fold_in(score_key, i)
        drawn: jax.Array = init(own_key, zeros.shape, zeros.dtype)
        return drawn

    schedule = make_schedule("cosine", learning_rate, num_steps=len(batch_indices))
    sgd = {"momentum": momentum, "weight_decay": weight_decay}
    scores, stats = train_scores(
        lambda i, _, scores: top_mask(scores, count_of[i]),
        make_optimizer("momentum", schedule, **sgd),
        masks_lib.map_prunable(first, prunable, jax.tree.map(jnp.zeros_like, params)),
        make_loss(apply_fn, loss),
        *(params, batch_stats, batch_indices, examples, draw_key),
        prunable=prunable,
    )
    return Learned(jax.tree.map(jnp.abs, scores), stats)


def edge_popup_scores(evidence: Evidence) -> Scores:
    """`edge_popup` at the init, of `evidence.counts`, which it needs, weights a layer."""
    net = evidence.for_learning()
    (counts,) = evidence.need("counts")
    return edge_popup(*net, counts=counts, loss=evidence.loss).scores
