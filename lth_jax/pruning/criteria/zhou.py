"""The criteria of Zhou et al. 2019, "Deconstructing Lottery Tickets".

Scores of a weight from its init w_i and its trained value w_f (section 3, "mask
criteria"); the variants that ask for a sign are those of the authors' code. They prune
layer by layer. Under global scope `large_init_large_final` and `small_init_small_final`,
whose scores are percentiles of a leaf, keep about the same share of all.
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

# Below any trained weight; its multiples put what is scored 0 in a random order.
_NEXT_TO_ZERO = 1e-30


large_final = magnitude  # |w_f|, by the paper's name for it


def small_final(evidence: Evidence) -> Scores:
    """-|w_f|: the control that keeps the smallest."""
    return jax.tree.map(jnp.negative, large_final(evidence))


def large_init(evidence: Evidence) -> Scores:
    """|w_i|: magnitude at init, whatever training does."""
    return jax.tree.map(jnp.abs, evidence.init_params)


def small_init(evidence: Evidence) -> Scores:
    """-|w_i|."""
    return jax.tree.map(jnp.negative, large_init(evidence))


def large_init_large_final(evidence: Evidence) -> Scores:
    """min(alpha |w_f|, |w_i|), with alpha such that both bound the same percentile.

    The authors' code bisects for that percentile; the smaller of a weight's two
    percentiles among the layer's survivors gives the same order, for all densities.
    """
    return jax.tree.map(jnp.minimum, *_percentiles(evidence))


def small_init_small_final(evidence: Evidence) -> Scores:
    """-max(alpha |w_f|, |w_i|), as `large_init_large_final`."""
    return jax.tree.map(lambda i, f: -jnp.maximum(i, f), *_percentiles(evidence))


def magnitude_increase(evidence: Evidence) -> Scores:
    """|w_f| - |w_i|: how far a weight went away from 0."""
    return jax.tree.map(lambda i, f: jnp.abs(f) - jnp.abs(i), *_ends(evidence))


def movement(evidence: Evidence) -> Scores:
    """|w_f - w_i|."""
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
    """Of |w_i| and of |w_f|, the share of a leaf's survivors that is smaller.

    Exact for up to 2**23 of them.
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
    """Scores where the signs of w_i and w_f compare so; 0 elsewhere, in random order.

    The authors break ties at random. By index, which is the rule of pruning, the weights
    of the first inputs would stay.
    """
    return jax.tree.map(
        lambda score, i, f, u: jnp.where(
            comparison(jnp.sign(i), jnp.sign(f)), score, _NEXT_TO_ZERO * u
        ),
        criterion(evidence),
        *_ends(evidence),
        uniform_like(evidence.key, evidence.params),
    )
