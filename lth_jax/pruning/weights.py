"""Pruning: scores and masks to sparser masks, with exact counts.

The lowest scores go first; among equal scores the higher flat index (C order)
goes first; what is pruned never comes back. Counts are integers computed on the
host; `remove_lowest`, which acts on them, is pure and works under `jit` and `vmap`.
Under global scope no layer is emptied; see `lth_jax.pruning.layer_floor`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.masks import LayerCount, Masks, Prunable, default_prunable
from lth_jax.pruning.layer_floor import remove_above_floor
from lth_jax.removal import Scores, remove_lowest

Fraction = float | Mapping[str, float]  # one for all layers, or one per leaf path
Density = float | Mapping[str, float]


def prune(
    scores: Scores,
    masks: Masks,
    fraction: Fraction,
    *,
    scope: str = "layerwise",
    prunable: Prunable = default_prunable,
    floor: int = 1,
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
      floor: for `global`, weights that every prunable leaf keeps at least; with 0 an
        emptied leaf is an error.

    Raises:
      ValueError: on a fraction outside (0, 1), an unknown scope, a mapping that
        does not fit the prunable leaves, NaN scores (naming the leaf), or a floor that
        does not fit.
      TypeError: under `jit` or `vmap`.
    """
    _check_leaves("fraction", fraction, masks, scope, prunable)
    for value in fraction.values() if isinstance(fraction, Mapping) else [fraction]:
        if not 0 < value < 1:
            raise ValueError(f"fraction: {value}; must be inside (0, 1)")

    def count(name: str, layer: LayerCount) -> int:
        own = fraction[name] if isinstance(fraction, Mapping) else fraction
        return round(own * layer.kept)

    return _remove(scores, masks, count, scope, prunable, floor)


def prune_to_density(
    scores: Scores,
    masks: Masks,
    density: Density,
    *,
    scope: str = "layerwise",
    prunable: Prunable = default_prunable,
    floor: int = 1,
) -> Masks:
    """One-shot pruning of one member: keeps `round(density * size)` weights.

    Sizes count every prunable weight, pruned already or not; of each prunable leaf
    for `layerwise`, of all together for `global` (Frankle & Carbin 2019, figure 4c).

    Args:
      scores: as for `prune`.
      masks: as for `prune`.
      density: the density to reach, in (0, 1). For `layerwise` also a mapping from the
        path of every prunable leaf to its own density, in [0, 1]; see
        `lth_jax.pruning.densities`.
      scope: as for `prune`.
      prunable: as for `prune`.
      floor: as for `prune`.

    Raises:
      ValueError: on a density that is not allowed or above that of the masks (pruned
        weights never come back), an unknown scope, a mapping that does not fit the
        prunable leaves, NaN scores, or a floor that does not fit.
    """
    _check_leaves("density", density, masks, scope, prunable)
    if isinstance(density, Mapping):
        for name, value in density.items():
            if not 0 <= value <= 1:
                raise ValueError(f"density: {value} of {name}; must be in [0, 1]")
    elif not 0 < density < 1:
        raise ValueError(f"density: {density}; must be inside (0, 1)")

    def count(name: str, layer: LayerCount) -> int:
        own = density[name] if isinstance(density, Mapping) else density
        removed = layer.kept - round(own * layer.total)
        if removed < 0:
            raise ValueError(
                f"density: {own} is above the {layer.kept / layer.total} that"
                f" {name} has left; pruned weights never come back"
            )
        return removed

    return _remove(scores, masks, count, scope, prunable, floor)


def prune_in_rounds(
    score: Callable[[Masks], Scores],
    masks: Masks,
    density: Density,
    num_rounds: int,
    **how: Any,
) -> Masks:
    """`prune_to_density` in rounds, with the scores computed anew for each.

    Round k of n prunes to density**(k / n), the same fraction of the survivors each time
    (Tanaka et al. 2020, algorithm 1).

    Args:
      score: masks to scores.
      masks: as for `prune`; all `True`, since that is what the rounds start from.
      density: as for `prune_to_density`.
      num_rounds: n, at least 1.
      **how: scope, prunable and floor, as for `prune`.

    Raises:
      ValueError: as `prune_to_density`, or on less than one round.
    """
    if num_rounds < 1:
        raise ValueError(f"num_rounds: {num_rounds}; must be at least 1")
    for k in range(1, num_rounds + 1):
        reached: Density = (
            {name: own ** (k / num_rounds) for name, own in density.items()}
            if isinstance(density, Mapping)
            else density ** (k / num_rounds)
        )
        masks = prune_to_density(score(masks), masks, reached, **how)
    return masks


def one_shot(
    scores: Scores,
    masks: Masks,
    densities: tuple[float, ...],
    *,
    scope: str = "layerwise",
    prunable: Prunable = default_prunable,
    floor: int = 1,
) -> list[Masks]:
    """Masks at each of several densities, all from the same scores: nested sets."""
    return [
        prune_to_density(scores, masks, d, scope=scope, prunable=prunable, floor=floor)
        for d in densities
    ]


def _check_leaves(
    argument: str,
    value: float | Mapping[str, float],
    masks: Masks,
    scope: str,
    prunable: Prunable,
) -> None:
    """Checks that a mapping by leaf, where one is given, may be and fits."""
    if not isinstance(value, Mapping):
        return
    if scope == "global":
        raise ValueError(f"{argument}: one per leaf is for scope 'layerwise' alone")
    names = [path for path, _ in masks_lib.prunable_leaves(masks, prunable)]
    if set(value) != set(names):
        raise ValueError(
            f"{argument}: names {sorted(value)}; the prunable leaves are {names}"
        )


def check_countable(scores: Scores, masks: Masks, prunable: Prunable) -> None:
    """Refuses what nothing can be counted by.

    Raises:
      ValueError: if the scores of a prunable leaf hold NaN, naming it.
      TypeError: under `jit` or `vmap`.
    """
    if any(
        isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((scores, masks))
    ):
        raise TypeError(
            "counts are made on the host: call this outside jit and vmap, once a member;"
            " or vmap `remove_lowest` over members with counts of your own"
        )
    score_of = dict(masks_lib.named_leaves(scores))
    for name, _ in masks_lib.prunable_leaves(masks, prunable):
        if np.isnan(np.asarray(score_of[name])).any():
            raise ValueError(f"scores: {name} holds NaN")


def _remove(
    scores: Scores,
    masks: Masks,
    count: Callable[[str, LayerCount], int],
    scope: str,
    prunable: Prunable,
    floor: int,
) -> Masks:
    """Removes `count(name, LayerCount)` weights of each leaf, or of all together."""
    if scope not in ("layerwise", "global"):
        raise ValueError(f"scope: {scope!r}; must be 'layerwise' or 'global'")
    if floor < 0:
        raise ValueError(f"floor: {floor}; must be at least 0")
    masks_lib.check(masks, scores)
    check_countable(scores, masks, prunable)
    layers = masks_lib.layer_counts(masks, prunable)
    score_of = dict(masks_lib.named_leaves(scores))
    mask_of = dict(masks_lib.named_leaves(masks))
    if scope == "layerwise":
        for name, layer in layers.items():
            mask_of[name] = remove_lowest(
                score_of[name], mask_of[name], count(name, layer)
            )
    else:
        net = LayerCount(*map(sum, zip(*layers.values(), strict=True)))
        mask_of |= remove_above_floor(
            {name: score_of[name] for name in layers},
            {name: mask_of[name] for name in layers},
            count("the net", net),
            floor,
        )
    return jax.tree.unflatten(jax.tree.structure(masks), list(mask_of.values()))
