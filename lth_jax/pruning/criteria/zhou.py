"""The criteria of Zhou et al. 2019, "Deconstructing Lottery Tickets".

They score a weight by its init w_i and its trained value w_f (section 3, "mask
criteria"). The variants with a sign are those of the authors' code. The authors prune
layer by layer. `large_init_large_final` and `small_init_small_final` score by percentiles
of a leaf. Under global scope they therefore keep about the same share of every leaf.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from lth_jax.masks import Params
from lth_jax.pruning.criteria.criterion import Evidence
from lth_jax.pruning.criteria.magnitude import magnitude
from lth_jax.pruning.criteria.random import uniform_like
from lth_jax.removal import Scores
from lth_jax.training.state import Array

# Below any trained weight. Its random multiples replace scores of 0, and break ties.
_NEXT_TO_ZERO = 1e-30


large_final = magnitude  # |w_f|, by the paper's name for it


def small_final(evidence: Evidence) -> Scores:
    """-|w_f|: the control that keeps the smallest."""
    return jax.tree.map(jnp.negative, large_final(evidence))


def large_init(evidence: Evidence) -> Scores:
    """|w_i|: magnitude at init, without regard to training."""
    return jax.tree.map(jnp.abs, evidence.init_params)


def small_init(evidence: Evidence) -> Scores:
    """-|w_i|: keeps the smallest at init."""
    return jax.tree.map(jnp.negative, large_init(evidence))


def large_init_large_final(evidence: Evidence) -> Scores:
    """min(alpha |w_f|, |w_i|), with alpha such that both bound the same percentile.

    The authors' code bisects for that percentile. Here a weight's score is the smaller of
    its two percentiles among the layer's survivors. The order is the same, for all
    densities.
    """
    return jax.tree.map(jnp.minimum, *_percentiles(evidence))


def small_init_small_final(evidence: Evidence) -> Scores:
    """-max(alpha |w_f|, |w_i|), as `large_init_large_final`."""
    return jax.tree.map(lambda i, f: -jnp.maximum(i, f), *_percentiles(evidence))


def magnitude_increase(evidence: Evidence) -> Scores:
    """|w_f| - |w_i|: how far a weight moved away from 0."""
    return jax.tree.map(lambda i, f: jnp.abs(f) - jnp.abs(i), *_ends(evidence))


def movement(evidence: Evidence) -> Scores:
    """|w_f - w_i|: how far a weight moved."""
    return jax.tree.map(lambda i, f: jnp.abs(f - i), *_ends(evidence))


def large_final_same_sign(evidence: Evidence) -> Scores:
    """|w_f| of weights that kept their sign, 0 of the others."""
    return _where_sign(jnp.equal, large_final, evidence)


def large_final_diff_sign(evidence: Evidence) -> Scores:
    """|w_f| of weights that changed their sign, 0 of the others."""
    return _where_sign(jnp.not_equal, large_final, evidence)


def magnitude_increase_same_sign(evidence: Evidence) -> Scores:
    """|w_f| - |w_i| of weights that kept their sign, 0 of the others."""
    return _where_sign(jnp.equal, magnitude_increase, evidence)


def magnitude_increase_diff_sign(evidence: Evidence) -> Scores:
    """|w_f| - |w_i| of weights that changed their sign, 0 of the others."""
    return _where_sign(jnp.not_equal, magnitude_increase, evidence)


def _ends(evidence: Evidence) -> tuple[Params, Params]:
    return evidence.init_params, evidence.params


def _percentiles(evidence: Evidence) -> list[Scores]:
    """For |w_i| and for |w_f|, the share of a leaf's survivors that is smaller.

    It is exact for up to 2**23 survivors.
    """

    def of_leaf(
        values: Float[Array, "*shape"], mask: Bool[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        flat = jnp.where(mask, jnp.abs(values), jnp.inf).ravel()
        smaller = jnp.searchsorted(jnp.sort(flat), flat).reshape(values.shape)
        return smaller / jnp.maximum(jnp.count_nonzero(mask), 1).astype(jnp.float32)

    return [jax.tree.map(of_leaf, end, evidence.masks) for end in _ends(evidence)]


def _where_sign(
    comparison: Callable[[jax.Array, jax.Array], jax.Array],
    criterion: Callable[[Evidence], Scores],
    evidence: Evidence,
) -> Scores:
    """Scores where `comparison` holds of the signs; 0 elsewhere, in random order.

    The authors break ties at random. Pruning breaks them by index, and would keep the
    weights of the first inputs.
    """
    return jax.tree.map(
        lambda score, i, f, u: jnp.where(
            comparison(jnp.sign(i), jnp.sign(f)), score, _NEXT_TO_ZERO * u
        ),
        criterion(evidence),
        *_ends(evidence),
        uniform_like(evidence.key, evidence.params),
    )
