"""Levels: trains a batch of members from one step to another, segment by segment."""

import concurrent.futures
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax.core.arms import spec_of
from lth_jax.core.tickets import Start
from lth_jax.devices import members as parallel
from lth_jax.errors import UserError
from lth_jax.masks import Masks, Params
from lth_jax.shrinking import CompactMembers
from lth_jax.study.experiment import Experiment
from lth_jax.study.parts import Parts
from lth_jax.study.programs import Programs
from lth_jax.study.segments import Segment, eval_steps, segments
from lth_jax.training import keys, sampling
from lth_jax.training.connections import Counts
from lth_jax.training.losses import CROSS_ENTROPY, Metrics
from lth_jax.training.segment import Curves
from lth_jax.training.state import TrainState

_MEMORY_FRACTION = 0.8  # the rest for what XLA and others keep
_MOST_MEMBERS = 1024  # beyond, a device is busy all the same


class Member(NamedTuple):
    """One network in training."""

    replicate: int
    arm: str
    level: int


class InFlight(NamedTuple):
    """Members at a segment boundary: all that is needed to go on from there.

    Attributes:
      state: of all members, leading axis M.
      masks: likewise; as they are then, where they change.
      curves: float32[M, V] arrays for all V evaluations, NaN where still to come.
    """

    state: TrainState
    masks: Masks
    curves: Curves


class TrainingDiverged(UserError):
    """A loss that is no longer finite."""


class Trainer:
    """Trains members of one experiment."""

    def __init__(self, experiment: Experiment):
        self._experiment = experiment
        self._programs = Programs(experiment)
        self._parts = Parts(experiment.config.members_per_call)

    def members_per_call(self) -> int:
        """How many members a call should have: as the config says, or the memory."""
        config = self._experiment.config
        if config.members_per_call is None and jax.default_backend() == "cpu":
            # No core idles, and there are not many more members than cores.
            cores, replicates = jax.local_device_count(), config.num_replicates
            return min(math.lcm(replicates, cores), 2 * max(replicates, cores))
        if self._parts.at_once is None:
            room = _MEMORY_FRACTION * parallel.free_memory_bytes()
            fitting = int(room) // self._programs.bytes_per_member()
            self._parts.at_once = min(max(1, fitting), _MOST_MEMBERS)
        return self._parts.at_once

    def final_counts_step(self, member: Member) -> int:
        """The step from which a member's masks keep as many weights as at the end."""
        dynamics = spec_of(member.arm).dynamics
        if dynamics is None:
            return self.start_step(member)
        return self._programs.dynamics(dynamics).goal_step

    def start_step(self, member: Member) -> int:
        """The step at which a member starts."""
        return 0 if member.level == 0 else self._cut_at(member)

    def _cut_at(self, member: Member) -> int:
        """The rewind step, where a member's training is cut; 0 if it knows of none."""
        is_static = spec_of(member.arm).dynamics is None
        return self._experiment.rewind_step if is_static else 0

    def segments(self, member: Member) -> list[Segment]:
        """The segments of a member's training, to the end of the budget."""
        config = self._experiment.config
        return segments(
            self.start_step(member),
            config.num_steps,
            every=config.eval_every_steps,
            checkpoint_every=config.checkpoint_every_steps,
            rewind_step=self._cut_at(member),
        )

    def eval_steps(self, member: Member) -> list[int]:
        """The steps of a member's evaluations."""
        config = self._experiment.config
        return eval_steps(
            self.start_step(member),
            config.num_steps,
            config.eval_every_steps,
            self._cut_at(member),
        )

    def begin(self, members: list[Member], start: Start) -> InFlight:
        """Members before their first segment."""
        shape = (len(members), len(self.eval_steps(members[0])))
        empty = np.full(shape, np.nan, np.float32)
        metrics: Metrics = dict.fromkeys(("loss", *CROSS_ENTROPY.metrics), empty)
        curves = Curves(empty, metrics, metrics)
        return InFlight(start.state, start.masks, curves)

    def train(
        self,
        members: list[Member],
        flight: InFlight,
        goal: Counts | None = None,
        frozen: Params | None = None,
        compact: CompactMembers | None = None,
    ) -> Iterator[tuple[int, InFlight]]:
        """Trains to the end of the budget, yielding (step, members) after each segment.

        Args:
          members: M of them, that start together and whose masks change alike, or stay.
          flight: from `begin`, or any that `train` yielded.
          goal: where masks change, the counts they come to, leading axis M.
          frozen: what pruned weights stay at, leading axis M; None: 0.
          compact: the members' smaller nets, whose states and masks `flight` has, for
            masks that stay, and pruned weights that are 0.

        Raises:
          TrainingDiverged: naming member, level and step, when a loss is not finite.
        """
        reached = int(np.asarray(flight.state.step)[0])
        todo = [s for s in self.segments(members[0]) if s.start_step >= reached]
        all_evals = self.eval_steps(members[0])
        state, masks, curves = flight
        run = self._runner(members, goal, frozen, compact)

        # Batches are drawn on the host while the device trains.
        with concurrent.futures.ThreadPoolExecutor(1) as host:
            drawn = [host.submit(self._indices, members, s) for s in todo[:1]]
            for segment, following in zip(todo, [*todo[1:], None], strict=True):
                indices = drawn.pop().result()
                if following:
                    drawn.append(host.submit(self._indices, members, following))
                (state, masks), found = run(state, masks, indices)
                found = jax.device_get(found)
                first = all_evals.index(segment.start_step + segment.num_steps)
                steps = all_evals[first : first + segment.num_evals]
                _check_finite(members, steps, found)
                curves = jax.tree.map(
                    lambda whole, part, at=first: _written(whole, part, at), curves, found
                )
                yield segment.stop_step, InFlight(state, masks, curves)

    def _runner(
        self,
        members: list[Member],
        goal: Counts | None,
        frozen: Params | None,
        compact: CompactMembers | None,
    ) -> Callable[..., Any]:
        """Makes `run(state, masks, indices) -> ((state, masks), curves)`."""
        programs, draw_keys = self._programs, self._keys(members, "draws")
        dynamics = spec_of(members[0].arm).dynamics
        static: Callable[[int], Callable[..., Any]] = programs.static
        own: Any = frozen
        if compact is not None:
            static = functools.partial(programs.compact, compact.module, compact.is_flat)
            own = compact.kept

        def run_static(state: TrainState, masks: Masks, indices: np.ndarray) -> Any:
            state, found = self._parts.run(static, state, masks, own, indices, draw_keys)
            return (state, masks), found

        if dynamics is None:
            return run_static
        mask_keys = self._keys(members, "connections")
        make = functools.partial(programs.changing, dynamics)

        def run_changing(state: TrainState, masks: Masks, indices: np.ndarray) -> Any:
            return self._parts.run(
                make, state, masks, goal, indices, draw_keys, mask_keys
            )

        return run_changing

    def evaluate(
        self, split: str, state: TrainState, frozen: Params | None = None
    ) -> Metrics:
        """Metrics on a whole split, float32[M]; frozen as for `train`."""
        make = functools.partial(self._programs.evaluate, split)
        metrics: Metrics = jax.device_get(self._parts.run(make, state, frozen))
        return metrics

    def _keys(self, members: list[Member], purpose: str) -> jax.Array:
        seed = self._experiment.config.seed
        return jnp.stack([keys.member_key(seed, *m, purpose) for m in members])

    def _indices(self, members: list[Member], segment: Segment) -> np.ndarray:
        config = self._experiment.config
        batches = [
            sampling.batch_indices(
                keys.member_key(config.seed, *member, "order"),
                segment.start_step,
                segment.num_evals * segment.num_steps,
                batch_size=config.batch_size,
                num_examples=len(self._experiment.splits.train.labels),
            )
            for member in members
        ]
        return np.stack(batches).reshape(
            len(members), segment.num_evals, segment.num_steps, config.batch_size
        )


def _written(whole: np.ndarray, part: np.ndarray, at: int) -> np.ndarray:
    result = np.array(whole)
    result[:, at : at + part.shape[1]] = part
    return result


def _check_finite(members: list[Member], steps: list[int], found: Curves) -> None:
    finite = np.isfinite(found.batch_loss) & np.isfinite(found.validation["loss"])
    if finite.all():
        return
    v, m = min((v, m) for m, v in np.argwhere(~finite))
    raise TrainingDiverged(
        f"the loss of replicate {members[m].replicate}, arm {members[m].arm}, level"
        f" {members[m].level} is no longer finite at step {steps[v]}; a lower"
        " optimizer.learning_rate may help. What was done before is kept"
    )
