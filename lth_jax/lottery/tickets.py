"""Tickets: what a study has found so far, in its workdir."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lth_jax import masks
from lth_jax.lottery.arms import Origin, Start, find_arm
from lth_jax.lottery.pruner import Pruner
from lth_jax.lottery.study import Study
from lth_jax.masks import Masks
from lth_jax.pruning import densities
from lth_jax.pruning.densities import LAYER_DENSITIES, Share
from lth_jax.store.checkpoints import Kept
from lth_jax.store.workdir import Workdir
from lth_jax.training import connections
from lth_jax.training.connections import Counts
from lth_jax.training.state import TrainState


class Trained(NamedTuple):
    """Tickets at the end of a level."""

    state: TrainState
    masks: Masks


class Tickets:
    """Of all replicates: every array here has a leading axis R.

    `has_*` and `found_*` look in memory, then among the checkpoints; what they say is
    there, the others return.
    """

    def __init__(self, study: Study, workdir: Workdir):
        self.study = study
        self.workdir = workdir
        self.pruner = Pruner(study)
        self._kept = Kept(workdir.checkpoints)

    @functools.cache  # noqa: B019 - lives as long as its study
    def inits(self) -> TrainState:
        """The original inits: as kept, or derived from the seed and kept."""
        derive = jax.jit(jax.vmap(self.study.initial_state))
        init_keys = self.study.member_keys("ticket", 0, "init")
        name = self.workdir.init.name
        state: TrainState | None = self._kept.find(
            name, jax.eval_shape(derive, init_keys)
        )
        if state is None:
            state = derive(init_keys)
            self._kept.keep(name, state)
        return state

    def full_masks(self) -> Masks:
        """Those of the dense nets."""
        return masks.full(self.inits().params)

    def has_rewind_point(self) -> bool:
        """Whether the dense nets at the rewind step are kept, and good."""
        return self._kept.find(self.workdir.rewind.name, self.inits()) is not None

    def rewind_point(self) -> TrainState:
        """The dense nets at the rewind step."""
        if self.study.rewind_step == 0:
            return self.inits()
        found: TrainState = self._kept.find(self.workdir.rewind.name, self.inits())
        return found

    def keep_rewind_point(self, state: TrainState) -> None:
        """Keeps the dense nets at the rewind step."""
        self._kept.keep(self.workdir.rewind.name, state)

    def has_trained(self, level: int) -> bool:
        """Whether the tickets at the end of a level are kept, and good."""
        return self._found(level) is not None

    def trained(self, level: int) -> Trained:
        """The tickets at the end of a level: their states, and their masks."""
        found: Trained = self._found(level)
        return found

    def keep_trained(self, level: int, trained: Trained) -> None:
        """Keeps the tickets at the end of a level."""
        self._kept.keep(self.workdir.level(level).name, trained)

    def _found(self, level: int) -> Any:
        like = Trained(self.inits(), self.full_masks())
        return self._kept.find(self.workdir.level(level).name, like)

    def found_masks(self, level: int, criterion: str) -> Masks | None:
        """The masks of a level, if they are kept: the ticket's are, a criterion's not."""
        if criterion != "ticket" or not self.has_trained(level):
            return None
        return self.trained(level).masks

    def prune(self, criterion: str, level: int, parent: int) -> Masks:
        """The masks of a level, from the nets of the level that they are pruned from.

        Args:
          criterion: "ticket" for the study's own.
          level: from 1.
          parent: the level of the nets.
        """
        initial = self.inits()
        if parent == 0 and self.pruner.looks(criterion) != "end":
            nets = Trained(initial, self.full_masks())
        else:
            nets = self.trained(parent)
        pruned = [
            self.pruner.prune(criterion, level, r, nets, initial)
            for r in range(self.study.config.num_replicates)
        ]
        return jax.tree.map(lambda *members: jnp.stack(members), *pruned)

    @functools.cache  # noqa: B019
    def starter(self, arm: str) -> Callable[[Origin], Start]:
        """The compiled start of all replicates of an arm."""
        start, rules = find_arm(arm).start, self.study.rules
        compiled: Callable[[Origin], Start] = jax.jit(
            jax.vmap(lambda origin: start(origin, rules))
        )
        return compiled

    def counts(self, kept: Masks, *, are_drawn: bool) -> Counts:
        """How many weights of each leaf masks keep, or their totals shared out.

        Args:
          kept: the tickets' masks.
          are_drawn: whether connections are drawn by these counts, which the config may
            want shared out among the layers.
        """
        share = LAYER_DENSITIES.get(self.study.config.dynamic.densities)
        if share is None or not are_drawn:
            counts: Counts = jax.vmap(connections.kept_counts)(kept)
            return counts
        kept = jax.device_get(kept)
        shared = [
            _shared(share, jax.tree.map(lambda m, r=r: m[r], kept), self.study)
            for r in range(self.study.config.num_replicates)
        ]
        return jax.tree.map(lambda *members: jnp.stack(members), *shared)


def _shared(share: Share, kept: Masks, study: Study) -> Counts:
    """As many weights as one ticket keeps in all, shared out among its layers."""
    shapes = {n: m.shape for n, m in masks.prunable_leaves(kept, study.prunable)}
    total = masks.total_count(kept, study.prunable).kept
    count_of = densities.counts(share, shapes, total)
    counts = [
        jnp.int32(count_of.get(name, mask.size))
        for name, mask in masks.named_leaves(kept)
    ]
    return jax.tree.unflatten(jax.tree.structure(kept), counts)
