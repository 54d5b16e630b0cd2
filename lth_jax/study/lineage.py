"""Lineage: what members start from, and what each level leaves to the next.

Everything asked for is looked for in memory, then among the checkpoints, and else made
again: a damaged checkpoint costs time alone.
"""

import functools
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from lth_jax import masks
from lth_jax.core import tickets
from lth_jax.core.arms import is_criterion, spec_of
from lth_jax.core.tickets import Start
from lth_jax.masks import Masks, Params
from lth_jax.pruning import densities as layer_densities
from lth_jax.pruning.densities import LAYER_DENSITIES, Share
from lth_jax.store import checkpoints as checkpoint
from lth_jax.store.workdir import Workdir
from lth_jax.study.experiment import Experiment
from lth_jax.study.plan import Call, Group
from lth_jax.study.pruner import Pruner
from lth_jax.training import connections, initial_state, keys
from lth_jax.training.connections import Counts
from lth_jax.training.state import TrainState


class Remake(Protocol):
    """Trains the tickets of a level again, and gives them to the lineage's `keep_*`."""

    def __call__(self, level: int, *, until_rewind_step: bool = False) -> None:
        """Trains to the end of the budget, or only to the rewind step."""


class Lineage:
    """Of all replicates: every array here has a leading axis R."""

    def __init__(self, experiment: Experiment, workdir: Workdir, remake: Remake):
        self._experiment = experiment
        self._config = experiment.config
        self._workdir = workdir
        self._remake = remake
        self._pruner = Pruner(experiment)
        self._replicates = range(experiment.config.num_replicates)
        self._trained: dict[int, Start] = {}  # the last two found or kept
        self._at_rewind_step: TrainState | None = None

    # Where members start.

    def start(self, call: Call) -> Start:
        """Where all members of a call start, group after group: leading axis M."""
        starts = [self._start_group(group) for group in call]
        joined: Start = jax.tree.map(lambda *parts: jnp.concatenate(parts), *starts)
        return joined

    def _start_group(self, group: Group) -> Start:
        arm, level = group
        if level == 0:
            return Start(self.init(), self.masks(0))
        continues = spec_of(arm).weights == "trained"
        needs_trained = continues or self._config.rewind.what.needs_trained
        trained = self.level(self._pruner.parent(level)).state if needs_trained else None
        start: Start = self._starter("ticket" if is_criterion(arm) else arm)(
            self.rewind_point(),
            self.masks(level, arm),
            self._keys(arm, level, "init"),
            self._keys(arm, level, "masks"),
            trained,
            self.init(),
            self._counts(group) if spec_of(arm).draws_connections else None,
        )
        return start

    def goal(self, call: Call) -> Counts:
        """How many weights of each leaf the masks come to, of all members of a call."""
        kept = [self._counts(group) for group in call]
        return jax.tree.map(lambda *parts: jnp.concatenate(parts), *kept)

    def _counts(self, group: Group) -> Counts:
        """Those of a group's replicates: as the tickets', or their totals shared out."""
        arm, level = group
        kept = self.masks(level)
        share = LAYER_DENSITIES.get(self._config.dynamic.densities)
        if share is None or not spec_of(arm).draws_connections:
            counts: Counts = jax.vmap(connections.kept_counts)(kept)
            return counts
        shared = [
            _shared(share, jax.tree.map(lambda m, r=r: m[r], kept), self._experiment)
            for r in self._replicates
        ]
        return jax.tree.map(lambda *members: jnp.stack(members), *shared)

    @functools.cache  # noqa: B019 - a lineage lives as long as its study
    def _starter(self, arm: str) -> Any:
        """The compiled start of all replicates of an arm."""

        def start(
            point: TrainState,
            ticket_masks: Masks,
            init_key: jax.Array,
            mask_key: jax.Array,
            trained: TrainState | None,
            initial: TrainState,
            counts: Counts | None,
        ) -> Start:
            return tickets.start(
                arm,
                point,
                ticket_masks,
                self._experiment.tx,
                init_key=init_key,
                mask_key=mask_key,
                init=self._experiment.network.init,
                trained=trained,
                what=self._config.rewind.what,
                initial=initial,
                counts=counts,
                prunable=self._experiment.prunable,
            )

        return jax.jit(jax.vmap(start))

    def frozen(self, call: Call, members: Masks) -> Params | None:
        """What pruned weights of all members of a call stay at: leading axis M.

        None where that is 0 for all of them, so that nothing is added in vain.

        Args:
          call: the groups.
          members: their masks, leading axis M.
        """
        kinds = {spec_of(group.arm).frozen for group in call}
        if kinds == {None}:
            return None
        dense = self.level(0).state if "moved_away" in kinds else None
        size = len(self._replicates)
        parts = [
            jax.vmap(functools.partial(tickets.frozen, group.arm), (0, 0, None, 0, 0))(
                self.rewind_point(),
                jax.tree.map(lambda m, i=i: m[i * size : (i + 1) * size], members),
                self._config.rewind.what,
                self.init(),
                dense,
            )
            for i, group in enumerate(call)
        ]
        return jax.tree.map(lambda *groups: jnp.concatenate(groups), *parts)

    def _keys(self, arm: str, level: int, purpose: str) -> jax.Array:
        seed = self._config.seed
        return jnp.stack(
            [keys.member_key(seed, r, arm, level, purpose) for r in self._replicates]
        )

    @functools.cache  # noqa: B019
    def init(self) -> TrainState:
        """The original inits: as saved, or derived from the seed and saved."""

        @jax.jit
        @jax.vmap
        def derive(key: jax.Array) -> TrainState:
            params, batch_stats = self._experiment.network.init(key)
            return initial_state(params, self._experiment.tx, batch_stats)

        init_keys = self._keys("ticket", 0, "init")
        path = self._workdir.init
        state: TrainState | None = checkpoint.load_or_none(
            path, jax.eval_shape(derive, init_keys)
        )
        if state is None:
            state = derive(init_keys)
            checkpoint.save(path, state)
        return state

    def rewind_point(self) -> TrainState:
        """The dense nets at step k, as saved or trained again."""
        if self._experiment.rewind_step == 0:
            return self.init()
        if self._at_rewind_step is None:
            self._at_rewind_step = checkpoint.load_or_none(
                self._workdir.rewind, self.init()
            )
        if self._at_rewind_step is None:
            self._remake(0, until_rewind_step=True)
        assert self._at_rewind_step is not None
        return self._at_rewind_step

    def keep_rewind_point(self, state: TrainState) -> None:
        """Saves the dense nets at step k."""
        checkpoint.save(self._workdir.rewind, state)
        self._at_rewind_step = state

    # What a level leaves to the next.

    def level(self, level: int) -> Start:
        """The tickets at the end of a level: their trained states, and their masks."""
        if level not in self._trained and not self._found(level):
            self._remake(level)
        return self._trained[level]

    def _found(self, level: int) -> bool:
        """Whether a level is among the checkpoints, and good; remembers it then."""
        like = Start(self.init(), self.masks(0))
        found = checkpoint.load_or_none(self._workdir.level(level), like)
        if found is not None:
            self._remember(level, Start(*found))
        return found is not None

    def keep_level(self, level: int, trained: Start) -> None:
        """Saves the tickets at the end of a level."""
        checkpoint.save(self._workdir.level(level), trained)
        self._remember(level, trained)

    def _remember(self, level: int, trained: Start) -> None:
        self._trained[level] = trained
        if len(self._trained) > 2:
            del self._trained[next(iter(self._trained))]

    def masks(self, level: int, arm: str = "ticket") -> Masks:
        """The tickets' masks at a level; of an arm that is a criterion, its own."""
        if level == 0:
            return masks.full(self.init().params)
        arm = arm if is_criterion(arm) else "ticket"  # a criterion may draw by its name
        if arm == "ticket" and (level in self._trained or self._found(level)):
            return self._trained[level].masks
        initial = self.init()
        at = self._pruner.parent(level)
        needs_trained = at > 0 or self._pruner.criterion(arm).looks == "end"
        parent = self.level(at) if needs_trained else Start(initial, self.masks(0))
        pruned = [
            self._pruner.prune(arm, level, r, parent, initial) for r in self._replicates
        ]
        return jax.tree.map(lambda *members: jnp.stack(members), *pruned)


def _shared(share: Share, kept: Masks, experiment: Experiment) -> Counts:
    """As many weights as one ticket keeps in all, shared out among its layers."""
    prunable = experiment.prunable
    shapes = {n: m.shape for n, m in masks.prunable_leaves(kept, prunable)}
    total = masks.total_count(kept, prunable).kept
    count_of = layer_densities.counts(share, shapes, total)
    counts = [
        jnp.int32(count_of.get(name, mask.size))
        for name, mask in masks.named_leaves(kept)
    ]
    return jax.tree.unflatten(jax.tree.structure(kept), counts)
