"""Floors: global pruning that leaves every layer some weights.

A layer without weights cuts the net in two (layer collapse: Tanaka et al. 2020, section
4), and no training mends that.
"""

import warnings
from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Bool, Float

from lth_jax.errors import UserError
from lth_jax.removal import remove_lowest
from lth_jax.training.state import Array

Scores = Mapping[str, Float[Array, "..."]]  # by path
Masks = Mapping[str, Bool[Array, "..."]]


class FloorError(UserError, ValueError):
    """Global pruning would empty a layer, or the floor does not fit."""


def remove_above_floor(scores: Scores, masks: Masks, count: int, floor: int) -> Masks:
    """As `remove_lowest`, but every leaf keeps its `floor` highest-scored survivors.

    Nearly always this changes nothing, and the result is that of `remove_lowest`.
    Otherwise other leaves lose as many weights more. The count stays exact, and a warning
    names the protected leaves. A leaf with fewer survivors than the floor keeps all.

    Raises:
      FloorError: naming the leaves that would be left without a weight if the floor is
        0, or the floor if fewer entries are to stay than it protects.
    """
    survivors = _counts(masks)
    removed = _remove_lowest(scores, masks, count)
    left = _counts(removed)
    emptied = [name for name in left if left[name] == 0 < survivors[name]]
    if emptied and floor == 0:
        raise FloorError(
            f"floor: 0; {', '.join(emptied)} would be left without a weight; a floor of 1"
            " prevents that"
        )
    floors = {name: min(floor, number) for name, number in survivors.items()}
    short = [name for name in left if left[name] < floors[name]]
    if not short:
        return removed
    allowed = sum(survivors.values()) - count
    if sum(floors.values()) > allowed:
        raise FloorError(
            f"floor: {floor}; so many entries of each leaf stay, which protects"
            f" {sum(floors.values())}, and {allowed} are to stay"
        )
    warnings.warn(
        f"the floor of {floor} keeps entries that would have been pruned in"
        f" {', '.join(short)}",
        stacklevel=2,
    )
    highest = {
        name: remove_lowest(scores[name], mask, survivors[name] - floors[name])
        for name, mask in masks.items()
    }
    others = {name: mask & ~highest[name] for name, mask in masks.items()}
    left_of = _remove_lowest(scores, others, count)
    return {name: left_of[name] | highest[name] for name in masks}


def _remove_lowest(scores: Scores, masks: Masks, count: int) -> Masks:
    """`remove_lowest` on lists, since ties follow the order of leaves in a pytree."""
    removed = remove_lowest([scores[name] for name in masks], list(masks.values()), count)
    return dict(zip(masks, removed, strict=True))


def _counts(masks: Masks) -> dict[str, int]:
    return {name: int(jnp.count_nonzero(mask)) for name, mask in masks.items()}
