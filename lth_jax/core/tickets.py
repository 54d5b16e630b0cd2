"""Tickets: where a level starts, for the ticket and for each control arm."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from lth_jax.core import masks as masks_lib
from lth_jax.core.masks import Masks, Params, Prunable, default_prunable
from lth_jax.core.optimizers import with_schedule_step
from lth_jax.core.training import BatchStats, TrainState, project

Init = Callable[[jax.Array], tuple[Params, BatchStats]]


@dataclasses.dataclass(frozen=True)
class Arm:
    """How a level starts from the ticket found so far.

    Attributes:
      weights: "rewound" (to step k), "fresh" (a new init), or "trained" (those at
        the end of the level before: no rewinding).
      shuffled: whether the ticket's mask is permuted within each layer.
    """

    weights: str
    shuffled: bool


ARMS = {
    "ticket": Arm("rewound", shuffled=False),  # Frankle & Carbin 2019, section 2
    "reinit": Arm("fresh", shuffled=False),  # section 3, figure 3 right
    "shuffle": Arm("rewound", shuffled=True),  # Frankle et al. 2021, section 5
    "random": Arm("fresh", shuffled=True),  # section 2, figure 1
    # The ticket's mask, and its weights at the end of the level before. Appendix B's
    # strategy 2 starts a level so too, but follows a lineage of its own.
    "continue": Arm("trained", shuffled=False),
}


REWIND_CHOICES = {
    "params": ("rewind", "keep"),
    "batch_stats": ("rewind", "keep"),
    "optimizer": ("fresh", "rewind"),
    "schedule": ("rewind", "restart"),
}


@dataclasses.dataclass(frozen=True)
class Rewind:
    """What goes back to the rewind point when a level starts.

    Attributes:
      params: "rewind", or "keep" those at the end of the level before.
      batch_stats: "rewind" or "keep".
      optimizer: "fresh", or "rewind" (moments as at the rewind point, masked).
      schedule: "rewind" (to the rewind point's step) or "restart" (from 0).
    """

    params: str = "rewind"
    batch_stats: str = "rewind"
    optimizer: str = "fresh"
    schedule: str = "rewind"

    def __post_init__(self) -> None:
        """Raises ValueError on a value that is not allowed."""
        for name, allowed in REWIND_CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(
                    f"{name}: {value!r}; must be one of {', '.join(allowed)}"
                )


class Start(NamedTuple):
    """Where one member of a level starts."""

    state: TrainState
    masks: Masks


def initial_state(
    params: Params, tx: optax.GradientTransformation, batch_stats: BatchStats = None
) -> TrainState:
    """The state at step 0, with a fresh optimizer."""
    stats = {} if batch_stats is None else batch_stats
    return TrainState(jnp.int32(0), params, stats, tx.init(params))


def rewind(
    point: TrainState,
    masks: Masks,
    tx: optax.GradientTransformation,
    trained: TrainState | None = None,
    what: Rewind = Rewind(),
) -> TrainState:
    """A level's first state: bit for bit `apply(masks, params at step k)`.

    Args:
      point: the state at step k of the dense net (k = 0: its init).
      masks: of the level that starts.
      tx: the optimizer.
      trained: the state at the end of the level before; for what is kept.
      what: what goes back.

    Returns:
      A state at step k whose first learning rate is `schedule(k)`, or `schedule(0)`
      where the schedule restarts.

    Raises:
      ValueError: if something is to be kept and `trained` is not given.
    """
    keeps = "keep" in (what.params, what.batch_stats)
    if keeps and trained is None:
        raise ValueError("trained: needed, since params or batch_stats are kept")
    kept = trained if trained is not None else point
    params = kept.params if what.params == "keep" else point.params
    stats = kept.batch_stats if what.batch_stats == "keep" else point.batch_stats
    opt_state = tx.init(params) if what.optimizer == "fresh" else point.opt_state
    schedule_step = point.step if what.schedule == "rewind" else jnp.int32(0)
    opt_state = with_schedule_step(opt_state, schedule_step)
    return project(TrainState(point.step, params, stats, opt_state), masks)


def shuffle_masks(
    key: jax.Array, masks: Masks, prunable: Prunable = default_prunable
) -> Masks:
    """Masks permuted within each prunable leaf: same counts, other places."""

    def shuffle(leaf_key: jax.Array, mask: jax.Array) -> jax.Array:
        return jax.random.permutation(leaf_key, mask.ravel()).reshape(mask.shape)

    leaves = [
        shuffle(jax.random.fold_in(key, i), mask) if prunable(path, mask) else mask
        for i, (path, mask) in enumerate(masks_lib.named_leaves(masks))
    ]
    return jax.tree.unflatten(jax.tree.structure(masks), leaves)


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
    what: Rewind = Rewind(),
    prunable: Prunable = default_prunable,
) -> Start:
    """Where one member of a level starts. Pure; works under `jit` and `vmap`.

    Every arm starts at step k with the masks' counts of the ticket, and so trains
    as long as the ticket does.

    Args:
      arm: a name in `ARMS`.
      point: the state at the rewind point (step k) of this replicate.
      masks: the ticket's masks of this level and replicate.
      tx: the optimizer.
      init_key: for fresh weights; not the one of the original init.
      mask_key: for shuffled masks.
      init: key to (params, batch statistics).
      trained: the ticket's state at the end of the level before.
      what: what goes back.
      prunable: which leaves may be pruned.

    Raises:
      ValueError: on an unknown arm.
    """
    if arm not in ARMS:
        raise ValueError(f"arm: {arm!r}; must be one of {', '.join(ARMS)}")
    spec = ARMS[arm]
    if spec.shuffled:
        masks = shuffle_masks(mask_key, masks, prunable)
    if spec.weights == "fresh":
        params, batch_stats = init(init_key)
        fresh = initial_state(params, tx, batch_stats)
        point = dataclasses.replace(fresh, step=point.step)
        what = dataclasses.replace(
            what, params="rewind", batch_stats="rewind", optimizer="fresh"
        )
    elif spec.weights == "trained":
        what = dataclasses.replace(what, params="keep", batch_stats="keep")
    return Start(rewind(point, masks, tx, trained, what), masks)
