"""Actions: new values for a ticket's weights, other than rewound weights or zeros.

In Zhou et al. 2019 mask-1 actions change the weights that a mask keeps. Mask-0 actions
change the weights that it prunes. All actions here change prunable leaves alone. They
are pure, and work under `jit` and `vmap`.
"""

import jax
import jax.numpy as jnp

from lth_jax import masks as masks_lib
from lth_jax.masks import Masks, Params, Prunable, default_prunable


def reshuffle(
    key: jax.Array, params: Params, masks: Masks, prunable: Prunable = default_prunable
) -> Params:
    """The weights that each leaf keeps, permuted among themselves ("reshuffle")."""
    masks_lib.check(masks, params)

    def act(i: int, p: jax.Array, m: jax.Array) -> jax.Array:
        order = jax.random.permutation(jax.random.fold_in(key, i), p.size)
        kept = m.ravel()
        # `to` has the kept places first, by index. `source` has them first in random
        # order, since a part of a random order is in random order.
        to = jnp.argsort(~kept, stable=True)
        source = order[jnp.argsort(~kept[order], stable=True)]
        return p.ravel().at[to].set(p.ravel()[source]).reshape(p.shape)

    return masks_lib.map_prunable(act, prunable, params, masks)


def constant(
    key: jax.Array, params: Params, prunable: Prunable = default_prunable
) -> Params:
    """Every weight becomes +alpha or -alpha with equal chance (mask-1 "constant").

    Alpha is the standard deviation of all weights of the leaf. The params are those of
    the original init.
    """

    def act(i: int, p: jax.Array) -> jax.Array:
        leaf_key = jax.random.fold_in(key, i)
        return jnp.std(p) * jax.random.rademacher(leaf_key, p.shape, p.dtype)

    return masks_lib.map_prunable(act, prunable, params)


def noise(
    key: jax.Array,
    params: Params,
    initial: Params,
    factor: float,
    prunable: Prunable = default_prunable,
) -> Params:
    """Weights plus Gaussian noise (Frankle & Carbin 2019, appendix F.7).

    Its standard deviation is `factor` times that of the leaf at the original init.
    """

    def act(i: int, p: jax.Array, at_init: jax.Array) -> jax.Array:
        drawn = jax.random.normal(jax.random.fold_in(key, i), p.shape, p.dtype)
        return p + factor * jnp.std(at_init) * drawn

    return masks_lib.map_prunable(act, prunable, params, initial)


def with_signs(
    params: Params, signs: Params, prunable: Prunable = default_prunable
) -> Params:
    """The magnitudes of one pytree with the signs of another; 0 counts as positive.

    It turns a mask-1 action into its variant that keeps the signs.
    """
    return masks_lib.map_prunable(
        lambda _, p, s: jnp.where(s < 0, -jnp.abs(p), jnp.abs(p)), prunable, params, signs
    )


def replace_prunable(
    params: Params, new: Params, prunable: Prunable = default_prunable
) -> Params:
    """Params with the prunable leaves of another pytree."""
    return masks_lib.map_prunable(lambda _, p, n: n, prunable, params, new)


def frozen(params: Params, masks: Masks) -> Params:
    """The params with 0 where masks keep a weight: the constants of `with_frozen`."""
    return masks_lib.apply(jax.tree.map(jnp.logical_not, masks), params)


def moved_away(initial: Params, trained: Params) -> Masks:
    """Which weights training did not move towards 0: |trained| >= |initial|."""
    return jax.tree.map(lambda i, t: jnp.abs(t) >= jnp.abs(i), initial, trained)
