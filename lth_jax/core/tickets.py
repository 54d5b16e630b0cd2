"""Tickets: where a level starts, for the ticket and for each control arm."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lth_jax.core import actions, connections
from lth_jax.core import masks as masks_lib
from lth_jax.core.masks import Masks, Params, Prunable, default_prunable
from lth_jax.core.optimizers import with_schedule_step
from lth_jax.core.training import BatchStats, TrainState, project

Init = Callable[[jax.Array], tuple[Params, BatchStats]]


@dataclasses.dataclass(frozen=True)
class Arm:
    """How a level starts from the ticket found so far.

    Attributes:
      weights: "rewound" (as the ticket's; but where that keeps its trained ones, which
        are 0 outside its mask, a shuffled or frozen arm has those of step k), "fresh" (a
        new init), "trained" (those at the end of the level before: no rewinding), or
        "initial" (the original init, at step 0 even where the ticket goes back to step
        k). Or rewound but for the prunable leaves: "redrawn" (of a new init),
        "reshuffled" or "constant" (see `lth_jax.core.actions`).
      shuffled: whether the ticket's mask is permuted within each layer.
      same_signs: whether prunable leaves have the signs of the rewound ones.
      frozen: whether pruned weights stay, untrained, where they would be rewound to.
      dynamics: a name in `lth_jax.core.dynamics.DYNAMICS`, for masks that change while
        the arm trains, and end with the ticket's counts. Its weights are "initial".
    """

    weights: str
    shuffled: bool = False
    same_signs: bool = False
    frozen: bool = False
    dynamics: str | None = None


ARMS = {
    "ticket": Arm("rewound"),  # Frankle & Carbin 2019, section 2
    "reinit": Arm("fresh"),  # section 3, figure 3 right
    "shuffle": Arm("rewound", shuffled=True),  # Frankle et al. 2021, section 5
    "random": Arm("fresh", shuffled=True),  # section 2, figure 1
    # The ticket's mask, and its weights at the end of the level before. Appendix B's
    # strategy 2 starts a level so too, but follows a lineage of its own.
    "continue": Arm("trained"),
    # Zhou et al. 2019, the mask-0 action that leaves pruned weights at their init.
    "freeze": Arm("rewound", frozen=True),
    # Zhou et al. 2019, mask-1 actions, free and with the signs kept. Their "reinit" is
    # the one above but for biases and normalisation.
    "reshuffle": Arm("reshuffled"),
    "constant": Arm("constant"),
    "reinit_signs": Arm("redrawn", same_signs=True),
    "reshuffle_signs": Arm("reshuffled", same_signs=True),
    "constant_signs": Arm("constant", same_signs=True),
    # Sparse at the end of one training: Zhu & Gupta 2017; sparse throughout: Mocanu et
    # al. 2018, Evci et al. 2020.
    "gradual": Arm("initial", dynamics="gradual"),
    "set": Arm("initial", dynamics="set"),
    "rigl": Arm("initial", dynamics="rigl"),
}


REWIND_CHOICES = {
    "params": ("init", "rewind", "keep"),
    "batch_stats": ("init", "rewind", "keep"),
    "optimizer": ("fresh", "rewind", "keep"),
    "schedule": ("restart", "rewind", "constant"),
}


@dataclasses.dataclass(frozen=True)
class Rewind:
    """What goes back when a level starts, and to where.

    Attributes:
      params: to the "init", "rewind" (to step k), or "keep" those at the end of the
        level before.
      batch_stats: likewise.
      optimizer: "fresh", or its moments, masked, "rewind" (as at step k) or "keep".
      schedule: "restart" (from step 0), "rewind" (from step k), or "constant" (its last
        value).
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

    @property
    def needs_trained(self) -> bool:
        """Whether the end of the level before is needed."""
        kept = "keep" in (self.params, self.batch_stats, self.optimizer)
        return kept or self.schedule == "constant"


# Every one trains from step k to the end of the budget.
REWINDS = {
    # k = 0: Frankle & Carbin 2019, section 2, and appendix B's strategy 1.
    "rewind": Rewind(),
    # The same to k > 0: Frankle et al. 2020, section 4.
    "late_rewind": Rewind(),
    # Renda et al. 2020, section 3: the schedule alone goes back.
    "lr_rewind": Rewind(params="keep", batch_stats="keep"),
    # Renda et al. 2020, section 3: at the last learning rate.
    "fine_tune": Rewind(params="keep", batch_stats="keep", schedule="constant"),
    # Training goes on as if nothing but the mask had changed, as between the prunings
    # of Frankle & Carbin 2019, appendix B's strategy 2.
    "continue": Rewind("keep", "keep", "keep", "constant"),
}


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
    initial: TrainState | None = None,
) -> TrainState:
    """A level's first state: bit for bit `apply(masks, params at step k)`.

    Args:
      point: the state at step k of the dense net (k = 0: its init).
      masks: of the level that starts.
      tx: the optimizer.
      trained: the state at the end of the level before; for what is kept, and for a
        constant schedule.
      what: what goes back, and to where.
      initial: the state at step 0; for what goes back to the init.

    Returns:
      A state at step k whose first learning rate is `schedule(k)`, `schedule(0)` where
      the schedule restarts, or that at the end of the level before where it is constant
      (a schedule of `make_schedule` stays there).

    Raises:
      ValueError: if `trained` or `initial` is needed and not given.
    """
    if what.needs_trained and trained is None:
        raise ValueError("trained: needed, since something is kept")
    if "init" in (what.params, what.batch_stats) and initial is None:
        raise ValueError("initial: needed, since something goes back to the init")
    origins: dict[str, Any] = {"init": initial, "rewind": point, "keep": trained}
    params = origins[what.params].params
    stats = origins[what.batch_stats].batch_stats
    if what.optimizer == "fresh":
        opt_state = tx.init(params)
    else:
        opt_state = origins[what.optimizer].opt_state
    steps: dict[str, Any] = {
        "restart": jnp.int32(0),
        "rewind": point.step,
        "constant": getattr(trained, "step", None),
    }
    opt_state = with_schedule_step(opt_state, steps[what.schedule])
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


def _untrained(what: Rewind) -> Rewind:
    """The same for a member that keeps nothing: at step k where that would be kept.

    Weights that were not trained yet do not stay at the schedule's last value either.
    """
    return Rewind(
        params="init" if what.params == "init" else "rewind",
        batch_stats="init" if what.batch_stats == "init" else "rewind",
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
    what: Rewind = Rewind(),
    initial: TrainState | None = None,
) -> Params:
    """What the pruned weights of one member stay at, for `actions.with_frozen`.

    Args:
      arm: a name in `ARMS`; but for one that freezes, it is 0.
      point: the state at the rewind point of this replicate.
      masks: of the member, as `start` gave them.
      what: as for `start`.
      initial: as for `start`.

    Returns:
      Float leaves like the params, 0 where the masks keep.
    """
    rewound = _rewound(point, what, initial)
    if ARMS[arm].frozen:
        return actions.frozen(rewound, masks)
    return jax.tree.map(jnp.zeros_like, rewound)


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
    initial: TrainState | None = None,
    prunable: Prunable = default_prunable,
) -> Start:
    """Where one member of a level starts. Pure; works under `jit` and `vmap`.

    An arm starts at step k with the masks' counts of the ticket, and so trains as long
    as the ticket does; one whose masks change starts at step 0, from the original init
    and full masks ("gradual") or random ones of the ticket's counts.

    Args:
      arm: a name in `ARMS`.
      point: the state at the rewind point (step k) of this replicate.
      masks: the ticket's masks of this level and replicate.
      tx: the optimizer.
      init_key: for fresh weights and mask-1 actions; not the one of the original init.
      mask_key: for shuffled and random masks.
      init: key to (params, batch statistics).
      trained: the ticket's state at the end of the level before.
      what: what goes back, and to where. Only "ticket" and "continue" keep anything; the
        others train by the schedule from step k where the ticket stays at its last value.
      initial: the state at step 0 of this replicate; for what goes back to the init, and
        for constant weights.
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
        if spec.dynamics == "gradual":
            masks = masks_lib.full(initial.params)
        else:
            counts = connections.kept_counts(masks)
            masks = connections.draw(mask_key, initial.params, counts, prunable)
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
    elif (spec.shuffled or spec.frozen) and what.needs_trained:
        what = _untrained(what)
    elif spec.weights == "trained":
        what = dataclasses.replace(what, params="keep", batch_stats="keep")
    return Start(rewind(point, masks, tx, trained, what, initial), masks)
