"""Transfer: nets of one study that start from the tickets of another.

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

# By kind: the weights before masks apply, from the net's own and the given ones.
KINDS: dict[str, Callable[[Params, Params, Prunable], Params]] = {
    "masks": lambda own, given, prunable: own,
    "signs": actions.with_signs,
    "tickets": lambda own, given, prunable: given,
}


class Given(NamedTuple):
    """A source's tickets, fitted to a target's net; a pytree."""

    masks: Masks  # all True in layers that do not fit
    weights: Params  # where the source's level starts; else the target's own


def start(kind: str, origin: Origin, given: Given, rules: Rules) -> Start:
    """Returns the start of one member that receives a `kind` from a source.

    It starts at the target's rewind step, with the target's batch statistics and moments.
    Nothing is kept that was trained after that step. Pure, for `jit` and `vmap`.

    Raises:
      KeyError: if the kind is not in `KINDS`.
    """
    params = KINDS[kind](rewound_params(origin, rules), given.weights, rules.prunable)
    point = dataclasses.replace(origin.point, params=params)
    what = dataclasses.replace(untrained(rules.rewind), params="rewind")
    own = origin._replace(point=point, masks=given.masks)
    return start_ticket(own, dataclasses.replace(rules, rewind=what))


def place(
    own: Params, prunable: Prunable, weights: _Leaves, masks: _Leaves
) -> tuple[Given, dict[str, str]]:
    """Puts a source's leaves [R, ...] at their places in a target's net.

    `own` are the target's weights, with axis R. The dict maps each layer that does not
    fit to the reason. Such a layer is not in the source, has another shape, or is pruned
    there and never in the target.
    """
    leaves = masks_lib.named_leaves(own)
    told: dict[str, str] = {}
    for path, leaf in leaves:
        layer, why = layer_of(path), _misfit(path, leaf[0], prunable, weights, masks)
        if why and (layer not in told or prunable(path, leaf[0])):
            told[layer] = why  # the reason for its weights, rather than its bias
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
    """Returns the layer that a leaf belongs to; the path itself if there is none."""
    return path.rpartition("/")[0] or path


def _misfit(
    path: str, leaf: Any, prunable: Prunable, weights: _Leaves, masks: _Leaves
) -> str | None:
    """Returns why a leaf of one member cannot take the source's; None if it can."""
    if path not in weights:
        return "not in the source"
    theirs = weights[path].shape[1:]
    if theirs != leaf.shape:
        return f"{_by(theirs)}, here {_by(leaf.shape)}"
    if not prunable(path, leaf) and not masks[path].all():
        return "pruned there, never here"
    return None


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a scalar"
