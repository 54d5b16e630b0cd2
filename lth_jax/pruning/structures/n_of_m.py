"""N of M: keeps N of every M consecutive weights, as sparse tensor cores need it."""

import logging

import jax
import jax.numpy as jnp
from jaxtyping import Shaped

from lth_jax import masks as masks_lib
from lth_jax.leaves import Axes, AxesOf, axes_of, checked_axes
from lth_jax.masks import Masks, Prunable, default_prunable
from lth_jax.pruning.structures.structure import Request
from lth_jax.pruning.weights import check_countable, replaced
from lth_jax.removal import Scores, remove_lowest
from lth_jax.training.state import Array

_log = logging.getLogger(__name__)


def n_of_m(scores: Scores, masks: Masks, level: int, request: Request) -> Masks:
    """The masks of `keep_n_of_m`, with the level's "n:m"."""
    n, m = map(int, request.n_of_m[level - 1].split(":"))
    return keep_n_of_m(scores, masks, n, m, prunable=request.prunable)


def keep_n_of_m(
    scores: Scores,
    masks: Masks,
    n: int,
    m: int,
    *,
    prunable: Prunable = default_prunable,
    axes: AxesOf = axes_of,
) -> Masks:
    """Keeps the `n` highest of every `m` consecutive incoming weights of a unit.

    NVIDIA's sparse tensor cores take 2:4 (Mishra et al. 2021). Weights are consecutive
    along the inputs, in a convolution at one pixel. If `m` does not divide the inputs,
    the smaller last group also keeps `n`, and a warning says so. A group with at most `n`
    survivors keeps all. n is from 1 to m - 1. `axes` takes (path, leaf) and returns the
    leaf's axes. Scores, masks and prunable are as for `prune`.

    Raises:
      ValueError: on n or m out of bounds, NaN scores, or naming a leaf whose axes are
        unknown.
      TypeError: under `jit` or `vmap`.

    Example:
      >>> import numpy as np
      >>> scores = {"kernel": np.array([[4.0], [1.0], [2.0], [3.0]])}  # of one unit
      >>> masks = {"kernel": np.ones((4, 1), bool)}
      >>> keep_n_of_m(scores, masks, 2, 4)["kernel"].ravel().tolist()
      [True, False, False, True]
    """
    if not 1 <= n < m:
        raise ValueError(f"n, m: {n}, {m}; must be 1 <= n < m")
    masks_lib.check(masks, scores)
    check_countable(scores, masks, prunable)
    score_of, mask_of = dict(masks_lib.named_leaves(scores)), {}
    for path, mask in masks_lib.prunable_leaves(masks, prunable):
        own = checked_axes(axes, path, mask)
        pixels, inputs, units = own.matrices(mask).shape
        if inputs % m:
            _log.warning("%s: %d inputs are no multiple of m = %d", path, inputs, m)

        def groups(leaf: Array, own: Axes = own) -> Shaped[Array, "groups m"]:
            rows = own.matrices(leaf).swapaxes(1, 2)
            return jnp.pad(rows, [(0, 0), (0, 0), (0, -rows.shape[2] % m)]).reshape(-1, m)

        survivors = groups(mask)
        counts = jnp.maximum(0, survivors.sum(1) - n)
        kept = jax.vmap(remove_lowest)(groups(score_of[path]), survivors, counts)
        rows = kept.reshape(pixels, units, -1)[..., :inputs]
        mask_of[path] = own.restored(rows.swapaxes(1, 2), mask.shape)
    return replaced(masks, mask_of)
