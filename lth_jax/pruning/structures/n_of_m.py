"""N of M: a few of every M consecutive weights, the pattern of sparse tensor cores."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Shaped

from lth_jax import masks as masks_lib
from lth_jax.masks import Masks, Prunable, default_prunable
from lth_jax.pruning.structures.structure import Request
from lth_jax.pruning.weights import check_countable
from lth_jax.removal import Scores, remove_lowest
from lth_jax.training.state import Array


def n_of_m(scores: Scores, masks: Masks, level: int, request: Request) -> Masks:
    """`keep_n_of_m`, as many as the level's "n:m"."""
    n, m = map(int, request.n_of_m[level - 1].split(":"))
    return keep_n_of_m(scores, masks, n, m, prunable=request.prunable)


def keep_n_of_m(
    scores: Scores, masks: Masks, n: int, m: int, *, prunable: Prunable = default_prunable
) -> Masks:
    """Of every `m` consecutive weights that a unit reads with, keeps the `n` highest.

    2:4 is what NVIDIA's sparse tensor cores take (Mishra et al. 2021). Consecutive is
    along the fan-in, for a convolution [height, width, channels] in C order; the last
    few keep `n` too where `m` does not divide it. Where no more than `n` are left,
    all stay. Scores, masks and prunable are as for `prune`; n is from 1 to m - 1.

    Raises:
      ValueError: on n or m out of bounds, or NaN scores (naming the leaf).
      TypeError: under `jit` or `vmap`.
    """
    if not 1 <= n < m:
        raise ValueError(f"n, m: {n}, {m}; must be 1 <= n < m")
    masks_lib.check(masks, scores)
    check_countable(scores, masks, prunable)

    def groups(leaf: Array) -> Shaped[Array, "groups m"]:  # the units' one by one
        rows = leaf.reshape(-1, leaf.shape[-1]).T
        return jnp.pad(rows, [(0, 0), (0, -rows.shape[1] % m)]).reshape(-1, m)

    def keep(
        _: int, mask: Bool[Array, "*shape"], scores: Float[Array, "*shape"]
    ) -> Bool[jax.Array, "*shape"]:
        survivors = groups(mask)
        counts = jnp.maximum(0, survivors.sum(1) - n)
        kept = jax.vmap(remove_lowest)(groups(scores), survivors, counts)
        rows = kept.reshape(mask.shape[-1], -1)[:, : mask.size // mask.shape[-1]]
        found: jax.Array = rows.T.reshape(mask.shape)
        return found

    return masks_lib.map_prunable(keep, prunable, masks, scores)
