"""Job: the members that start together, all replicates of one arm at one level."""

import dataclasses
from collections.abc import Hashable
from typing import NamedTuple, Self

import jax
import numpy as np

from lth_jax.lottery import segments
from lth_jax.lottery.arms import Arm, find_arm
from lth_jax.lottery.segments import Segment
from lth_jax.lottery.study import Study
from lth_jax.masks import Masks, prunable_leaves
from lth_jax.pruning.criteria import CRITERIA, Criterion
from lth_jax.pruning.layer_densities import LAYER_DENSITIES, shapes_of
from lth_jax.pruning.weights import Density
from lth_jax.training import keys, sampling
from lth_jax.training.optimizers import Rates


class Member(NamedTuple):
    """One network in training."""

    replicate: int
    arm: str
    level: int


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """All replicates of one arm at one level."""

    study: Study
    arm: str  # a name for `find_arm`
    level: int  # 0 is the dense net
    parent: Self | None = None  # its masks are pruned from these nets; None at level 0
    stop_step: int | None = None  # its last step; None: the end of the budget
    copy: int = 0  # copies share their start and differ in the order of the data

    @property
    def how(self) -> Arm:
        """Its arm, which says how its members start."""
        return find_arm(self.arm)

    @property
    def dense(self) -> "Job":
        """The job of the dense nets."""
        return self if self.parent is None else self.parent.dense

    def until(self, step: int | None) -> "Job":
        """The same job, trained only to a step; None: to the end of the budget."""
        return dataclasses.replace(self, stop_step=step)

    @property
    def is_ticket(self) -> bool:
        """Whether other jobs may need its nets."""
        return self.arm == "ticket"

    @property
    def draws_masks(self) -> bool:
        """Whether it draws masks as it trains, to find its `EarlyBird`."""
        return self.is_ticket and self.study.config.prune.at == "early_bird"

    @property
    def is_whole(self) -> bool:
        """Whether it trains to the end of the budget."""
        return self.stop_step is None

    @property
    def criterion(self) -> Criterion:
        """The criterion of its masks: the arm itself if it is one, else the study's."""
        own = self.arm if self.how.is_criterion else self.study.config.prune.criterion
        return CRITERIA.find(own)

    @property
    def scope(self) -> str:
        """Its scope: which weights compete when it prunes."""
        return self.criterion.scope or self.study.config.prune.scope

    def density(self, kept: Masks) -> Density:
        """The density of its level: by leaf if the scope divides it, else of all."""
        density = self.study.config.prune.densities[self.level - 1]
        share = LAYER_DENSITIES.get(self.scope)
        if share is None:
            return density
        return share(shapes_of(prunable_leaves(kept, self.study.prunable)), density)

    @property
    def prunes_trained(self) -> bool:
        """Whether its masks are pruned from the parent's trained nets."""
        is_first = self.parent is None or self.parent.level == 0
        return not is_first or self.criterion.looks == "end"

    @property
    def reads_parent(self) -> bool:
        """Whether its start reads the parent's trained nets."""
        return self.how.needs_trained or self.study.config.rewind.what.needs_trained

    @property
    def members(self) -> list[Member]:
        """Its networks, by replicate."""
        replicates = self.study.config.replicates
        return [Member(r, self.arm, self.level) for r in replicates]

    @property
    def first_step(self) -> int:
        """The step at which its members start."""
        return 0 if self.level == 0 and not self.copy else self._cut_at

    @property
    def last_step(self) -> int:
        """The step at which its members end."""
        return self.study.config.num_steps if self.stop_step is None else self.stop_step

    @property
    def _cut_at(self) -> int:
        """The rewind step; 0 for masks that change, which start at the init."""
        return self.study.rewind_step if self.how.dynamics is None else 0

    @property
    def _cuts(self) -> tuple[int, ...]:
        """The steps where a segment must end, since nets are kept or arms start there."""
        step = self.study.prune_step if self.how.dynamics is None else None
        return (self._cut_at,) if step is None else (self._cut_at, step)

    @property
    def num_member_steps(self) -> int:
        """The number of training steps of all members together."""
        steps = self.last_step - self.first_step
        return steps * self.study.config.num_replicates

    @property
    def counted_from(self) -> int:
        """The step from which masks keep as many weights as at the end of training."""
        if self.how.dynamics is None:
            return self.first_step
        return self.study.dynamics(self.how.dynamics).goal_step

    @property
    def segments(self) -> list[Segment]:
        """Its training, cut into compiled calls."""
        config, dynamics = self.study.config, self.how.dynamics
        changes = None if dynamics is None else self.study.dynamics(dynamics)
        found = segments.segments(
            self.first_step,
            config.num_steps,
            every=config.eval_every_steps,
            checkpoint_every=config.checkpoint_every_steps,
            cuts=self._cuts,
            update_every=None if changes is None else changes.every,
        )
        return [segment for segment in found if segment.stop_step <= self.last_step]

    @property
    def eval_steps(self) -> np.ndarray:
        """int64[V], the steps of its evaluations."""
        stop, every = self.study.config.num_steps, self.study.config.eval_every_steps
        return np.array(segments.eval_steps(self.first_step, stop, every, self._cuts))

    def evaluations_before(self, segment: Segment) -> int:
        """The number of its evaluations before those of a segment."""
        return int(np.searchsorted(self.eval_steps, segment.start_step, side="right"))

    @property
    def test_due(self) -> np.ndarray:
        """bool[V], whether an evaluation has the test split too; the last always has."""
        config, steps = self.study.config, self.eval_steps
        every = config.eval_test_every_steps
        is_always = every in (None, config.eval_every_steps)
        return np.array([is_always or s % every == 0 for s in steps[:-1]] + [True])

    @property
    def program(self) -> Hashable:
        """A key that jobs share if they can train in one call."""
        # Each job has smaller nets of its own.
        alone = id(self) if self.study.config.compact_levels else None
        together = tuple(self.segments), len(self.members)
        own = self.draws_masks, alone
        return self.study.program, self.how.dynamics, together, own

    @property
    def rates(self) -> Rates | None:
        """The members' rates, float32[R]; None if their program holds them."""
        number = len(self.members)
        rates: Rates | None = jax.tree.map(
            lambda rate: np.full(number, rate), self.study.rates
        )
        return rates

    def keys(self, purpose: str) -> jax.Array:
        """The members' keys for one purpose, key[R]."""
        return self.study.member_keys(self.arm, self.level, self._of_copy(purpose))

    def mask_key(self, replicate: int, purpose: str) -> jax.Array:
        """A member's key for its masks: of a criterion's own arm, else of the ticket."""
        arm = self.arm if self.how.is_criterion else "ticket"
        seed = self.study.config.seed
        return keys.member_key(seed, replicate, arm, self.level, purpose)

    def _of_copy(self, purpose: str) -> str:
        """A purpose's name for keys; a copy has its own "order" and "draws" alone."""
        is_own = self.copy and purpose in ("order", "draws")
        return f"{purpose} of copy {self.copy}" if is_own else purpose

    def batch_indices(self, segment: Segment) -> np.ndarray:
        """The indices of a segment's batches, int32[R, evaluations, steps, batch]."""
        config = self.study.config
        batches = [
            sampling.batch_indices(
                keys.member_key(config.seed, *member, self._of_copy("order")),
                segment.start_step,
                segment.total_steps,
                batch_size=config.batch_size,
                num_examples=len(self.study.splits.train.labels),
            )
            for member in self.members
        ]
        return np.stack(batches).reshape(
            len(batches), segment.num_evals, segment.num_steps, config.batch_size
        )
