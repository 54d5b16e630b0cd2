"""Tickets: where a level starts, for the ticket and for each control arm."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

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
      weights: "rewound" (as the ticket's; but where that keeps its trained ones, which
        are 0 outside its mask, a shuffled arm has those of step k), "fresh" (a new init),
        or "trained" (those at the end of the level before: no rewinding).
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


def _full_schedule(what: Rewind) -> str:
    """Weights that were not trained yet do not stay at the schedule's last value."""
    return "restart" if what.schedule == "restart" else "rewind"


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
      what: what goes back, and to where. Fresh and shuffled arms keep nothing, and
        train by the schedule from step k where the ticket stays at its last value.
      initial: the state at step 0 of this replicate.
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
        what = Rewind(schedule=_full_schedule(what))
    elif spec.shuffled and what.needs_trained:
        what = Rewind(
            params="init" if what.params == "init" else "rewind",
            batch_stats="init" if what.batch_stats == "init" else "rewind",
            schedule=_full_schedule(what),
        )
    elif spec.weights == "trained":
        what = dataclasses.replace(what, params="keep", batch_stats="keep")
    return Start(rewind(point, masks, tx, trained, what, initial), masks)
