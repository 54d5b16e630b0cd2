"""Arm: one way to start a level, as the ticket or as one of its controls."""

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
    """What one member of a level can start from: a pytree, for `jit` and `vmap`.

    `trained` and `dense` are states at the end of training. They are None if neither the
    arm nor the study's rewinding needs them.
    """

    masks: Masks  # of the ticket at this level; an arm that is a criterion has its own
    initial: TrainState  # at step 0
    point: TrainState  # the dense net at the rewind step k; `initial` where k is 0
    trained: TrainState | None  # the net that the masks were pruned from
    dense: TrainState | None
    counts: Counts | None  # of random connections, by leaf; None: the ticket's counts
    init_key: jax.Array  # for fresh weights; never the one of the original init
    mask_key: jax.Array  # for masks that are drawn


@dataclasses.dataclass(frozen=True)
class Rules:
    """The rules by which all members of a study start; `init` takes a key."""

    tx: optax.GradientTransformation
    init: Init
    rewind: Rewind = REWINDS["rewind"]
    prunable: Prunable = default_prunable


class Start(NamedTuple):
    """Where one member of a level starts."""

    state: TrainState  # its params are 0 where the masks prune
    masks: Masks
    # The values of pruned weights in training, 0 where weights are kept; None: all 0.
    frozen: Params | None = None


@dataclasses.dataclass(frozen=True)
class Arm:
    """One way to start a level.

    `dynamics` is a name in `training.dynamics.DYNAMICS`. With it, masks change while the
    arm trains, and the arm trains the whole budget from step 0.
    """

    start: Callable[[Origin, Rules], Start]  # of one member; pure, for `jit` and `vmap`
    label: str  # its name for readers; the package's own arms are labelled by their names
    sentence: str  # what it is, in a few words
    colour: Colour | None = None  # None: any colour that is free
    needs_trained: bool = False  # whether it reads `Origin.trained`
    needs_dense: bool = False  # whether it reads `Origin.dense`
    dynamics: str | None = None
    draws_connections: bool = False  # whether it reads `Origin.counts`
    is_criterion: bool = False  # whether it is a pruning criterion, with its own masks
