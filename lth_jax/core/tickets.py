"""Tickets: where a level starts, for the ticket and for each control arm."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from lth_jax import masks as masks_lib
from lth_jax.core import actions
from lth_jax.core.arms import ARMS, Arm, spec_of
from lth_jax.masks import Masks, Params, Prunable, default_prunable
from lth_jax.training import connections
from lth_jax.training.connections import Counts
from lth_jax.training.rewinding import REWINDS, Rewind, rewind
from lth_jax.training.state import BatchStats, TrainState, initial_state

Init = Callable[[jax.Array], tuple[Params, BatchStats]]


class Start(NamedTuple):
    """Where one member of a level starts."""

    state: TrainState
    masks: Masks


def shuffle_masks(
    key: jax.Array, masks: Masks, prunable: Prunable = default_prunable
) -> Masks:
    """Masks permuted within each prunable leaf: same counts, other places."""

    def shuffle(i: int, mask: jax.Array) -> jax.Array:
        leaf_key = jax.random.fold_in(key, i)
        return jax.random.permutation(leaf_key, mask.ravel()).reshape(mask.shape)

    return masks_lib.map_prunable(shuffle, prunable, masks)


def _untrained(what: Rewind) -> Rewind:
    """The same for a member that keeps nothing: at step k where that would be kept.

    But kept moments become fresh; and weights that were not trained yet do not stay at
    the schedule's last value either.
    """
    return Rewind(
        params="init" if what.params == "init" else "rewind",
        batch_stats="init" if what.batch_stats == "init" else "rewind",
        optimizer="rewind" if what.optimizer == "rewind" else "fresh",
        schedule="restart" if what.schedule == "restart" else "rewind",
    )


def _rewound(point: TrainState, what: Rewind, initial: TrainState | None) -> Params:
    """The weights that a member which keeps nothing goes back to, before any mask."""
    if what.params != "init":
        return point.params
    if initial is None:
        raise ValueError("initial: needed, since something goes back to the init")
    return initial.params


def _acted_on(
    spec: Arm,
    rewound: Params,
    masks: Masks,
    initial: TrainState | None,
    key: jax.Array,
    init: Init,
    prunable: Prunable,
) -> Params:
    """The rewound weights after an arm's mask-1 action."""
    if spec.weights == "redrawn":
        params, _ = init(key)
    elif spec.weights == "reshuffled":
        params = actions.reshuffle(key, rewound, masks, prunable)
    elif initial is None:
        raise ValueError("initial: needed, since its weights tell the constant")
    else:
        params = actions.constant(key, initial.params, prunable)
    if spec.same_signs:
        params = actions.with_signs(params, rewound, prunable)
    return actions.replace_prunable(rewound, params, prunable)


def frozen(
    arm: str,
    point: TrainState,
    masks: Masks,
    what: Rewind = REWINDS["rewind"],
    initial: TrainState | None = None,
    dense: TrainState | None = None,
) -> Params:
    """What the pruned weights of one member stay at, for `actions.with_frozen`.

    Args:
      arm: a name in `ARMS`, or a criterion; but for an arm that freezes, it is 0.
      point: the state at the rewind point of this replicate.
      masks: of the member, as `start` gave them.
      what: as for `start`.
      initial: as for `start`; and for what moved while the dense net trained.
      dense: the dense net at the end of its training, for the same.

    Returns:
      Float leaves like the params, 0 where the masks keep.

    Raises:
      ValueError: if `initial` or `dense` is needed and not given.
    """
    rewound, spec = _rewound(point, what, initial), spec_of(arm)
    if spec.frozen is None:
        return jax.tree.map(jnp.zeros_like, rewound)
    constants = actions.frozen(rewound, masks)
    if spec.frozen == "all":
        return constants
    if initial is None or dense is None:
        raise ValueError(f"initial, dense: both needed, since {arm!r} asks what moved")
    moved = actions.moved_away(initial.params, dense.params)
    return masks_lib.apply(moved, constants)


def start(
    arm: str,
    point: TrainState,
    masks: Masks,
    tx: optax.GradientTransformation,
    *,
    init_key: jax.Array,
    mask_key: jax.Array,
    init: Init,
    trained: TrainState | None = None,
    what: Rewind = REWINDS["rewind"],
    initial: TrainState | None = None,
    counts: Counts | None = None,
    prunable: Prunable = default_prunable,
) -> Start:
    """Where one member of a level starts. Pure; works under `jit` and `vmap`.

    An arm starts at step k with the masks' counts of the ticket, and so trains as long
    as the ticket does; one whose masks change starts at step 0, with full masks
    ("gradual") or random ones of given counts. By what `what` says of each:

    | arm | params | statistics | moments | schedule |
    | --- | --- | --- | --- | --- |
    | ticket | as said | as said | as said | as said |
    | continue | kept | kept | as said | as said |
    | shuffle, freeze | as said, never kept | likewise | likewise | likewise |
    | reshuffle, constant, *_signs | so, acted on | likewise | likewise | likewise |
    | reinit, random | fresh | fresh | fresh | as said, never constant |
    | gradual, set, rigl | of the init | of the init | fresh | from step 0 |

    What is "never kept" is that of step k where `what` would keep it, but kept moments
    are fresh, and a constant schedule goes on from step k.

    Args:
      arm: a name in `ARMS`; for a criterion, "ticket" with its own masks.
      point: the state at the rewind point (step k) of this replicate.
      masks: the ticket's masks of this level and replicate.
      tx: the optimizer.
      init_key: for fresh weights and mask-1 actions; not the one of the original init.
      mask_key: for shuffled and random masks.
      init: key to (params, batch statistics).
      trained: the state of the net that the masks were pruned from, at the end of its
        training: of the ticket one level before, or of the dense net in one shot.
      what: what goes back, and to where.
      initial: the state at step 0 of this replicate; for what goes back to the init, and
        for constant weights.
      counts: how many weights of each leaf random connections have; None: as the ticket.
      prunable: which leaves may be pruned.

    Raises:
      ValueError: on an unknown arm, or if `trained` or `initial` is needed and not given.
    """
    if arm not in ARMS:
        raise ValueError(f"arm: {arm!r}; must be one of {', '.join(ARMS)}")
    spec = ARMS[arm]
    if spec.dynamics is not None:
        if initial is None:
            raise ValueError(f"initial: needed, since {arm!r} starts from the init")
        if spec.draws_connections:
            counts = connections.kept_counts(masks) if counts is None else counts
            masks = connections.draw(mask_key, initial.params, counts, prunable)
        else:
            masks = masks_lib.full(initial.params)
        return Start(rewind(initial, masks, tx), masks)
    if spec.shuffled:
        masks = shuffle_masks(mask_key, masks, prunable)
    if spec.weights == "fresh":
        params, batch_stats = init(init_key)
        fresh = initial_state(params, tx, batch_stats)
        point = dataclasses.replace(fresh, step=point.step)
        what = Rewind(schedule=_untrained(what).schedule)
    elif spec.weights in ("redrawn", "reshuffled", "constant"):
        rewound = _rewound(point, what, initial)
        params = _acted_on(spec, rewound, masks, initial, init_key, init, prunable)
        point = dataclasses.replace(point, params=params)
        what = dataclasses.replace(_untrained(what), params="rewind")
    elif spec.shuffled or spec.frozen:
        what = _untrained(what)
    elif spec.weights == "trained":
        what = dataclasses.replace(what, params="keep", batch_stats="keep")
    return Start(rewind(point, masks, tx, trained, what, initial), masks)
