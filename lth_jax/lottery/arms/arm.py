"""Arm: one way to start a level, beside the dense net or as the ticket itself."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import optax

from lth_jax.masks import Masks, Params, Prunable, default_prunable
from lth_jax.training.connections import Counts
from lth_jax.training.rewinding import REWINDS, Rewind
from lth_jax.training.state import BatchStats, TrainState

Init = Callable[[jax.Array], tuple[Params, BatchStats]]


class Colour(NamedTuple):
    """An arm's colour in figures, and on light and dark pages: "#rrggbb" each."""

    figure: str
    light: str
    dark: str


class Origin(NamedTuple):
    """What one member of a level can start from. A pytree, for `jit` and `vmap`.

    Attributes:
      masks: the ticket's at this level; of a criterion that is an arm, its own.
      initial: the state at step 0.
      point: the dense net at the rewind step k; `initial` where k is 0.
      trained: the net that the masks were pruned from, at the end of its training; None
        if neither the arm nor the study's rewinding needs it.
      dense: the dense net at the end of its training; None if the arm does not need it.
      counts: how many weights of each leaf random connections have; None: as the ticket.
      init_key: for fresh weights and their like; never the one of the original init.
      mask_key: for masks that are drawn.
    """

    masks: Masks
    initial: TrainState
    point: TrainState
    trained: TrainState | None
    dense: TrainState | None
    counts: Counts | None
    init_key: jax.Array
    mask_key: jax.Array


@dataclasses.dataclass(frozen=True)
class Rules:
    """What all members of a study start by; `init` takes a key."""

    tx: optax.GradientTransformation
    init: Init
    rewind: Rewind = REWINDS["rewind"]
    prunable: Prunable = default_prunable


class Start(NamedTuple):
    """Where one member of a level starts.

    Attributes:
      state: its params are 0 where `masks` prune.
      masks: bool leaves.
      frozen: what its pruned weights stay at, 0 where masks keep; None: all at 0.
      goal: how many weights of each leaf changing masks come to; None: masks stay.
    """

    state: TrainState
    masks: Masks
    frozen: Params | None = None
    goal: Counts | None = None


@dataclasses.dataclass(frozen=True)
class Arm:
    """One way to start a level.

    Attributes:
      start: `(origin, rules) -> Start` of one member; pure, under `jit` and `vmap`.
      label: names its line in a figure.
      sentence: names it in the verdict's sentences.
      colour: None: any that is free.
      needs_trained: whether it reads `Origin.trained`, whatever the rewinding.
      needs_dense: whether it reads `Origin.dense`.
      dynamics: a name in `training.dynamics.DYNAMICS`, for masks that change while the
        arm trains. It then trains the whole budget from step 0.
      draws_connections: whether it reads `Origin.counts`.
      is_criterion: whether it is a criterion of pruning, with masks of its own.
    """

    start: Callable[[Origin, Rules], Start]
    label: str
    sentence: str
    colour: Colour | None = None
    needs_trained: bool = False
    needs_dense: bool = False
    dynamics: str | None = None
    draws_connections: bool = False
    is_criterion: bool = False
