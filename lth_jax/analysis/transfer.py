"""Transfer: what one study's tickets give a net of another.

Arrays of several members have a leading axis R, the replicates.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.lottery.arms import Origin, Rules, Start, actions
from lth_jax.lottery.arms.rewound import rewound_params, start_ticket, untrained
from lth_jax.masks import Masks, Params, Prunable

_Leaves = Mapping[str, np.ndarray]  # by path, [R, ...]

# What a net starts with before any mask, by kind: of its own weights and those given.
KINDS: dict[str, Callable[[Params, Params, Prunable], Params]] = {
    "masks": lambda own, given, prunable: own,
    "signs": actions.with_signs,
    "tickets": lambda own, given, prunable: given,
}


class Given(NamedTuple):
    """A source's tickets as a target's net can have them; a pytree."""

    masks: Masks  # all kept in layers that do not fit
    weights: Params  # those that the source's level starts from; where not, the target's


def start(kind: str, origin: Origin, given: Given, rules: Rules) -> Start:
    """Where one member starts that is given something of a source.

    It starts at the target's rewind step, with the target's batch statistics and moments;
    nothing is kept that was trained after it. Pure, for `jit` and `vmap`.
    """
    params = KINDS[kind](rewound_params(origin, rules), given.weights, rules.prunable)
    point = dataclasses.replace(origin.point, params=params)
    what = dataclasses.replace(untrained(rules.rewind), params="rewind")
    own = origin._replace(point=point, masks=given.masks)
    return start_ticket(own, dataclasses.replace(rules, rewind=what))


def place(
    own: Params, prunable: Prunable, weights: _Leaves, masks: _Leaves
) -> tuple[Given, dict[str, str]]:
    """Puts a source's leaves at their places in a target's net, layer by layer.

    `own` are the target's weights. The dict says of each layer that does not fit why: it
    is not in the source, has another shape, or is pruned there and never in the target.
    """
    leaves = masks_lib.named_leaves(own)
    told: dict[str, str] = {}
    for path, leaf in leaves:
        layer, why = layer_of(path), _misfit(path, leaf[0], prunable, weights, masks)
        if why and (layer not in told or prunable(path, leaf[0])):
            told[layer] = why  # of its weights rather than of its bias
    placed = [
        (masks[path], weights[path].astype(leaf.dtype))
        if layer_of(path) not in told
        else (np.ones(leaf.shape, bool), np.asarray(leaf))
        for path, leaf in leaves
    ]
    structure = jax.tree.structure(own)
    given = (jax.tree.unflatten(structure, part) for part in zip(*placed, strict=True))
    return Given(*given), told


def layer_of(path: str) -> str:
    """The layer that a leaf is of; itself if of none."""
    return path.rpartition("/")[0] or path


def _misfit(
    path: str, leaf: Any, prunable: Prunable, weights: _Leaves, masks: _Leaves
) -> str | None:
    """Why a leaf, of one member, cannot have the source's; None if it can."""
    if path not in weights:
        return "not there"
    theirs = weights[path].shape[1:]
    if theirs != leaf.shape:
        return f"{_by(theirs)}, here {_by(leaf.shape)}"
    if not prunable(path, leaf) and not masks[path].all():
        return "pruned there, never here"
    return None


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a number"
