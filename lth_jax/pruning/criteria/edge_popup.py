"""Edge-popup: keeps the weights of each layer that have the highest learned scores."""

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
    """1 for the `count` highest |scores|, else 0, with the gradient of |scores|.

    This is exactly the mask that `prune_to_density` makes from |scores|.
    """
    magnitudes = jnp.abs(scores)
    fixed = jax.lax.stop_gradient(magnitudes)
    kept = remove_lowest(fixed, jnp.ones(scores.shape, bool), scores.size - count)
    # The difference is exactly 0, and has the gradient of the magnitudes.
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
    """Learns scores of a net that keeps each layer's highest; returns |s|.

    Ramanujan et al. 2020, section 3. Scores start Kaiming-uniform. They learn by SGD with
    a cosine schedule that ends at the last batch. As in the authors' code |s| is ranked,
    and the gradient of s has its sign. Their net has normalisation without scale and
    bias; it does best with weights of plus or minus a constant (see `actions.constant`).

    The density in (0, 1), their k, is that of each layer in training. `counts`, which may
    be traced, replace it: the number of weights that each leaf keeps. `learning_rate` is
    the peak. `weight_decay` acts on the scores. `axes` takes (path, leaf) and returns the
    leaf's axes, for its fan-in. All else is as for `supermask`.
    `prune_to_density(scores, ..., density)` makes the mask of the next step.

    Raises:
      ValueError: on a density outside (0, 1), without counts.
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
    """Learned |s|, where each layer keeps its highest |s|: `edge_popup`.

    It needs `evidence.counts`.
    """
    net = evidence.for_learning()
    (counts,) = evidence.need("counts")
    return edge_popup(*net, counts=counts, loss=evidence.loss).scores
