"""Pruning: makes sparser masks from scores and masks, with exact counts.

It removes the lowest scores first, and of equal scores the higher flat index (C order).
A pruned weight never comes back. The host computes the counts, as integers. They are
arguments of `remove_lowest`, which is pure and works under `jit` and `vmap`. Global scope
empties no layer; see `lth_jax.pruning.layer_floor`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool

from lth_jax import masks as masks_lib
from lth_jax.masks import LayerCount, Masks, Prunable, default_prunable
from lth_jax.pruning.layer_floor import remove_above_floor
from lth_jax.removal import Scores, remove_lowest
from lth_jax.training.connections import Counts
from lth_jax.training.state import Array

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
    """Prunes one member by one step, and returns its masks, bool leaves.

    `layerwise` removes `round(fraction * survivors)` weights of each prunable leaf.
    `global` removes this number of all prunable leaves together (Frankle & Carbin 2019,
    section 2 and appendix I.1). `round` is Python's, which rounds halves to even.

    Args:
      scores: float leaves like the masks; the lowest are removed first. For magnitude
        pruning they are the absolute values of the params.
      masks: bool leaves, `True` = kept.
      fraction: in (0, 1). For `layerwise` also a mapping from the path of every
        prunable leaf (such as "dense_0/kernel") to its own fraction.
      scope: "layerwise" or "global".
      prunable: which leaves may be pruned.
      floor: for `global`, the least number of weights that every prunable leaf keeps;
        with 0 an emptied leaf is an error.

    Raises:
      ValueError: on another fraction or scope, a mapping that does not fit the prunable
        leaves, NaN scores (naming the leaf), or a floor that does not fit.
      TypeError: under `jit` or `vmap`, since counts are made on the host.

    Example:
      >>> scores = {"layer": np.array([[3.0, 1.0], [0.5, 2.0]])}
      >>> masks = prune(scores, masks_lib.full(scores), 0.5)
      >>> masks["layer"].tolist()
      [[True, False], [False, True]]
    """

    def count(name: str, layer: LayerCount, own: float) -> int:
        if not 0 < own < 1:
            raise ValueError(f"fraction: {own}; must be inside (0, 1)")
        return round(own * layer.kept)

    return _remove("fraction", fraction, count, scores, masks, scope, prunable, floor)


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

    The size counts every prunable weight, pruned or not: of each prunable leaf for
    `layerwise`, of all together for `global` (Frankle & Carbin 2019, figure 4c). The
    density is in (0, 1). For `layerwise` it may also be a mapping from the path of every
    prunable leaf to a density in [0, 1]; see `lth_jax.pruning.layer_densities`. All else
    is as for `prune`.

    Raises:
      ValueError, TypeError: as `prune`; also on a density above that of the masks, since
        pruned weights never come back.

    Example:
      >>> scores = {"layer": np.array([[3.0, 1.0], [0.5, 2.0]])}
      >>> masks = prune_to_density(scores, masks_lib.full(scores), 0.25)
      >>> masks["layer"].tolist()
      [[True, False], [False, False]]
    """
    if not isinstance(density, Mapping) and not 0 < density < 1:
        raise ValueError(f"density: {density}; must be inside (0, 1)")

    def count(name: str, layer: LayerCount, own: float) -> int:
        if not 0 <= own <= 1:
            raise ValueError(f"density: {own} of {name}; must be in [0, 1]")
        removed = layer.kept - round(own * layer.total)
        if removed < 0:
            raise ValueError(
                f"density: {own} is above the {layer.kept / layer.total} that"
                f" {name} has left; pruned weights never come back"
            )
        return removed

    return _remove("density", density, count, scores, masks, scope, prunable, floor)


def prune_in_rounds(
    score: Callable[[Masks], Scores],
    masks: Masks,
    density: Density,
    num_rounds: int,
    **how: Any,
) -> Masks:
    """`prune_to_density` in n rounds, each with new scores from the masks so far.

    Round k prunes to density**(k / n), the same fraction of the survivors in each round
    (Tanaka et al. 2020, algorithm 1). The rounds start from masks that are all `True`.
    `how` is scope, prunable and floor, as for `prune`.

    Raises:
      ValueError: on less than one round; also as `prune_to_density`.
    """
    if num_rounds < 1:
        raise ValueError(f"num_rounds: {num_rounds}; must be at least 1")
    for power in (k / num_rounds for k in range(1, num_rounds + 1)):
        if isinstance(density, Mapping):
            reached: Density = {name: own**power for name, own in density.items()}
        else:
            reached = density**power
        masks = prune_to_density(score(masks), masks, reached, **how)
    return masks


def one_shot(
    scores: Scores, masks: Masks, densities: tuple[float, ...], **how: Any
) -> list[Masks]:
    """The masks of `prune_to_density` at several densities, from the same scores.

    They are nested: a lower density keeps a subset of the weights.
    """
    return [prune_to_density(scores, masks, density, **how) for density in densities]


def counts_at(
    density: Density, masks: Masks, prunable: Prunable = default_prunable
) -> Counts:
    """How many weights `prune_to_density` keeps of each leaf: int32 scalars like masks.

    It keeps `round(density * size)` of each prunable leaf, and all of any other.
    """

    def count(path: str, leaf: Any) -> np.int32:
        if not prunable(path, leaf):
            return np.int32(leaf.size)
        own = density[path] if isinstance(density, Mapping) else density
        return np.int32(round(own * leaf.size))

    leaves = [count(path, leaf) for path, leaf in masks_lib.named_leaves(masks)]
    return jax.tree.unflatten(jax.tree.structure(masks), leaves)


def replaced(masks: Masks, leaves: Mapping[str, Bool[Array, "..."]]) -> Masks:
    """The masks with other leaves at these paths."""
    found = [leaves.get(path, leaf) for path, leaf in masks_lib.named_leaves(masks)]
    return jax.tree.unflatten(jax.tree.structure(masks), found)


def check_countable(scores: Scores, masks: Masks, prunable: Prunable) -> None:
    """Checks that scores and masks can be counted on the host.

    Raises:
      ValueError: on NaN or complex scores, naming the leaf.
      TypeError: under `jit` or `vmap`.
    """
    leaves = jax.tree.leaves((scores, masks))
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        raise TypeError(
            "counts are made on the host: call this outside jit and vmap, once a member;"
            " or vmap `remove_lowest` over members with counts of your own"
        )
    score_of = dict(masks_lib.named_leaves(scores))
    for name, _ in masks_lib.prunable_leaves(masks, prunable):
        own = np.asarray(score_of[name])
        if np.iscomplexobj(own):
            raise ValueError(f"scores: {name} is {own.dtype}; must be real")
        if np.isnan(own).any():
            raise ValueError(f"scores: {name} holds NaN")


def _remove(
    argument: str,
    value: float | Mapping[str, float],
    count: Callable[[str, LayerCount, float], int],
    scores: Scores,
    masks: Masks,
    scope: str,
    prunable: Prunable,
    floor: int,
) -> Masks:
    """Removes `count(name, layer, value)` weights of each leaf, or of all together."""
    if scope not in ("layerwise", "global"):
        raise ValueError(f"scope: {scope!r}; must be 'layerwise' or 'global'")
    if floor < 0:
        raise ValueError(f"floor: {floor}; must be at least 0")
    masks_lib.check(masks, scores)
    check_countable(scores, masks, prunable)
    layers = masks_lib.layer_counts(masks, prunable)
    if not isinstance(value, Mapping):
        value = dict.fromkeys([*layers, "the net"], value)
    elif scope == "global":
        raise ValueError(f"{argument}: one per leaf is for scope 'layerwise' alone")
    elif set(value) != set(layers):
        raise ValueError(
            f"{argument}: names {sorted(value)}; the prunable leaves are {list(layers)}"
        )
    score_of = dict(masks_lib.named_leaves(scores))
    mask_of = dict(masks_lib.prunable_leaves(masks, prunable))
    if scope == "global":
        net = LayerCount(*map(sum, zip(*layers.values(), strict=True)))
        number = count("the net", net, value["the net"])
        return replaced(masks, remove_above_floor(score_of, mask_of, number, floor))
    for name, layer in layers.items():
        number = count(name, layer, value[name])
        mask_of[name] = remove_lowest(score_of[name], mask_of[name], number)
    return replaced(masks, mask_of)
