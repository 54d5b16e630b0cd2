"""Pruning: scores and masks to sparser masks, with exact counts.

The lowest scores go first; among equal scores the higher flat index (C order)
goes first; what is pruned never comes back. Counts are integers computed on the
host; `remove_lowest`, which acts on them, is pure and works under `jit` and `vmap`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from lth_jax.core import masks as masks_lib
from lth_jax.core.masks import LayerCount, Masks, Prunable, default_prunable

Scores = Any  # a pytree of float arrays, same structure and shapes as the params
Fraction = float | Mapping[str, float]  # one for all layers, or one per leaf path


def _ascending_bits(scores: jax.Array) -> jax.Array:
    """Maps float32 to uint32 so that integer order is the floats' order."""
    bits = jax.lax.bitcast_convert_type(scores.astype(jnp.float32), jnp.uint32)
    sign = jnp.uint32(1 << 31)
    bits = jnp.where(bits == sign, jnp.uint32(0), bits)  # -0.0 is the same score as 0.0
    return jnp.where(bits & sign, ~bits, bits | sign)


@jax.jit
def remove_lowest(scores: Scores, masks: Masks, count: jax.Array | int) -> Masks:
    """Removes the `count` lowest-scored survivors of a whole pytree.

    The threshold is found by bisecting the bit pattern of the scores: 32 counting
    passes, which need no sort and no copy, and no float rounding decides a count.

    Args:
      scores: float leaves, free of NaN; order is compared in float32.
      masks: bool leaves of the same structure and shapes.
      count: int32, from 0 to the number of survivors.

    Returns:
      Masks with exactly `count` fewer entries kept, a subset of the given ones.
    """
    chex.assert_trees_all_equal_structs(masks, scores)
    chex.assert_trees_all_equal_shapes(masks, scores)
    kept, structure = jax.tree.flatten(masks)
    bits = [_ascending_bits(leaf) for leaf in jax.tree.leaves(scores)]
    count = jnp.asarray(count, jnp.int32)

    def survivors_below(bound: jax.Array) -> jax.Array:
        return sum(
            (
                jnp.sum(m & (b < bound), dtype=jnp.int32)
                for m, b in zip(kept, bits, strict=True)
            ),
            jnp.int32(0),
        )

    def settle_bit(i: jax.Array, threshold: jax.Array) -> jax.Array:
        candidate = threshold | (jnp.uint32(1) << (31 - i).astype(jnp.uint32))
        return jnp.where(survivors_below(candidate) < count, candidate, threshold)

    # The score of the last survivor to go: the largest bound with fewer than
    # `count` survivors strictly below it.
    threshold = jax.lax.fori_loop(0, 32, settle_bit, jnp.uint32(0))
    ties_to_remove = count - survivors_below(threshold)
    result: list[jax.Array] = []
    for m, b in zip(reversed(kept), reversed(bits), strict=True):
        tie = m & (b == threshold)
        ties_from_end = jnp.cumsum(tie.ravel()[::-1].astype(jnp.int32))[::-1]
        remove_tie = tie & (ties_from_end.reshape(m.shape) <= ties_to_remove)
        result.append(m & (b >= threshold) & ~remove_tie)
        ties_to_remove -= jnp.sum(remove_tie, dtype=jnp.int32)
    return jax.tree.unflatten(structure, result[::-1])


def prune(
    scores: Scores,
    masks: Masks,
    fraction: Fraction,
    *,
    scope: str = "layerwise",
    prunable: Prunable = default_prunable,
) -> Masks:
    """One pruning step of one member, with counts computed on the host.

    `layerwise` removes `round(fraction * survivors)` weights of each prunable leaf,
    `global` of all prunable leaves together (Frankle & Carbin 2019, section 2 and
    appendix I.1). `round` is Python's: halves go to the even neighbour.

    Args:
      scores: float leaves, the structure and shapes of `masks`; low goes first, so for
        magnitude pruning the absolute values of the params.
      masks: bool leaves, `True` = kept.
      fraction: in (0, 1). For `layerwise` also a mapping from the path of every
        prunable leaf (such as "dense_0/kernel") to its own fraction.
      scope: "layerwise" or "global".
      prunable: which leaves may be pruned.

    Raises:
      ValueError: on a fraction outside (0, 1), an unknown scope, a mapping that
        does not fit the prunable leaves, or NaN scores (naming the leaf).
      TypeError: under `jit` or `vmap`.
    """
    if isinstance(fraction, Mapping):
        names = [path for path, _ in masks_lib.prunable_leaves(masks, prunable)]
        if scope == "global":
            raise ValueError("fraction: one per leaf is for scope 'layerwise' alone")
        if set(fraction) != set(names):
            raise ValueError(
                f"fraction: names {sorted(fraction)}; the prunable leaves are {names}"
            )
    for value in fraction.values() if isinstance(fraction, Mapping) else [fraction]:
        if not 0 < value < 1:
            raise ValueError(f"fraction: {value}; must be inside (0, 1)")

    def count(name: str, layer: LayerCount) -> int:
        own = fraction[name] if isinstance(fraction, Mapping) else fraction
        return round(own * layer.kept)

    return _remove(scores, masks, count, scope, prunable)


def prune_to_density(
    scores: Scores,
    masks: Masks,
    density: float,
    *,
    scope: str = "layerwise",
    prunable: Prunable = default_prunable,
) -> Masks:
    """One-shot pruning of one member: keeps `round(density * size)` weights.

    Sizes count every prunable weight, pruned already or not; of each prunable leaf
    for `layerwise`, of all together for `global` (Frankle & Carbin 2019, figure 4c).

    Args:
      scores: as for `prune`.
      masks: as for `prune`.
      density: the density to reach, in (0, 1).
      scope: as for `prune`.
      prunable: as for `prune`.

    Raises:
      ValueError: on a density outside (0, 1) or above that of the masks (pruned
        weights never come back), an unknown scope, or NaN scores.
    """
    if not 0 < density < 1:
        raise ValueError(f"density: {density}; must be inside (0, 1)")

    def count(name: str, layer: LayerCount) -> int:
        removed = layer.kept - round(density * layer.total)
        if removed < 0:
            raise ValueError(
                f"density: {density} is above the {layer.kept / layer.total} that"
                f" {name} has left; pruned weights never come back"
            )
        return removed

    return _remove(scores, masks, count, scope, prunable)


def one_shot(
    scores: Scores,
    masks: Masks,
    densities: tuple[float, ...],
    *,
    scope: str = "layerwise",
    prunable: Prunable = default_prunable,
) -> list[Masks]:
    """Masks at each of several densities, all from the same scores: nested sets."""
    return [
        prune_to_density(scores, masks, d, scope=scope, prunable=prunable)
        for d in densities
    ]


def _remove(
    scores: Scores,
    masks: Masks,
    count: Callable[[str, LayerCount], int],
    scope: str,
    prunable: Prunable,
) -> Masks:
    """Removes `count(name, LayerCount)` weights of each leaf, or of all together."""
    if scope not in ("layerwise", "global"):
        raise ValueError(f"scope: {scope!r}; must be 'layerwise' or 'global'")
    masks_lib.check(masks, scores)
    if any(
        isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((scores, masks))
    ):
        raise TypeError(
            "counts are made on the host: call this outside jit and vmap, once a member;"
            " or vmap `remove_lowest` over members with counts of your own"
        )
    layers = masks_lib.layer_counts(masks, prunable)
    score_of = dict(masks_lib.named_leaves(scores))
    mask_of = dict(masks_lib.named_leaves(masks))
    for name in layers:
        if np.isnan(np.asarray(score_of[name])).any():
            raise ValueError(f"scores: {name} holds NaN")
    if scope == "layerwise":
        groups = {name: [name] for name in layers}
    else:
        groups = {"the net": list(layers)}
    for group, names in groups.items():
        layer = LayerCount(
            sum(layers[n].kept for n in names), sum(layers[n].total for n in names)
        )
        pruned = remove_lowest(
            [score_of[n] for n in names],
            [mask_of[n] for n in names],
            count(group, layer),
        )
        mask_of.update(zip(names, pruned, strict=True))
    return jax.tree.unflatten(jax.tree.structure(masks), list(mask_of.values()))
