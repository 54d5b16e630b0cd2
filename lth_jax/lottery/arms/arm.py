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

    `trained` and `dense` are at the end of their training; None if neither the arm nor
    the study's rewinding needs them.
    """

    masks: Masks  # the ticket's at this level; of a criterion that is an arm, its own
    initial: TrainState  # at step 0
    point: TrainState  # the dense net at the rewind step k; `initial` where k is 0
    trained: TrainState | None  # the net that the masks were pruned from
    dense: TrainState | None
    counts: Counts | None  # of random connections, by leaf; None: as the ticket
    init_key: jax.Array  # for fresh weights; never the one of the original init
    mask_key: jax.Array  # for masks that are drawn


@dataclasses.dataclass(frozen=True)
class Rules:
    """What all members of a study start by; `init` takes a key."""

    tx: optax.GradientTransformation
    init: Init
    rewind: Rewind = REWINDS["rewind"]
    prunable: Prunable = default_prunable


class Start(NamedTuple):
    """Where one member of a level starts."""

    state: TrainState  # its params are 0 where the masks prune
    masks: Masks
    frozen: Params | None = None  # what pruned weights stay at, 0 where kept; None: 0


@dataclasses.dataclass(frozen=True)
class Arm:
    """One way to start a level.

    With dynamics, a name in `training.dynamics.DYNAMICS`, masks change while the arm
    trains, and it trains the whole budget from step 0.
    """

    start: Callable[[Origin, Rules], Start]  # of one member; pure, for `jit` and `vmap`
    label: str  # names it for a reader; the package's have their names in records
    sentence: str  # what it is, in a few words
    colour: Colour | None = None  # None: any that is free
    needs_trained: bool = False  # whether it reads `Origin.trained`
    needs_dense: bool = False  # whether it reads `Origin.dense`
    dynamics: str | None = None
    draws_connections: bool = False  # whether it reads `Origin.counts`
    is_criterion: bool = False  # of pruning, with masks of its own
