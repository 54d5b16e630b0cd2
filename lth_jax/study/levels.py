"""Levels: trains a batch of members from one step to another, segment by segment."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from lth_jax.core import keys, sampling
from lth_jax.core.masks import Masks
from lth_jax.core.tickets import Start
from lth_jax.core.training import (
    Curves,
    Metrics,
    TrainState,
    make_evaluate,
    make_segment,
)
from lth_jax.errors import UserError
from lth_jax.parallel import over_members, replicated
from lth_jax.study.experiment import Experiment, Splits


class Member(NamedTuple):
    """One network in training."""

    replicate: int
    arm: str
    level: int


class InFlight(NamedTuple):
    """Members at a segment boundary: all that is needed to go on from there.

    Attributes:
      state: of all members, leading axis M.
      curves: float32[M, V] arrays for all V evaluations, NaN where still to come.
    """

    state: TrainState
    curves: Curves


class TrainingDiverged(UserError):
    """A loss that is no longer finite."""


class Segment(NamedTuple):
    """`num_evals` evaluations, `num_steps` training steps before each."""

    start_step: int
    num_evals: int
    num_steps: int

    @property
    def stop_step(self) -> int:
        """The step that it ends at."""
        return self.start_step + self.num_evals * self.num_steps


def eval_steps(start: int, stop: int, every: int, rewind_step: int) -> list[int]:
    """Where members are evaluated: multiples of `every`, the rewind step, the end."""
    steps = {step for step in range(0, stop, every) if step > start}
    return sorted(steps | {s for s in (rewind_step, stop) if s > start})


def segments(
    start: int, stop: int, *, every: int, checkpoint_every: int, rewind_step: int
) -> list[Segment]:
    """Cuts a level into segments.

    One ends at every multiple of `checkpoint_every`, at the rewind step, and where
    the distance between evaluations changes.
    """
    result: list[Segment] = []
    step = start
    for eval_step in eval_steps(start, stop, every, rewind_step):
        length = eval_step - step
        last = result[-1] if result else None
        if (
            last is None
            or last.num_steps != length
            or step % checkpoint_every == 0
            or step == rewind_step
        ):
            result.append(Segment(step, 1, length))
        else:
            result[-1] = last._replace(num_evals=last.num_evals + 1)
        step = eval_step
    return result


class Trainer:
    """Trains members of one experiment; holds the compiled functions."""

    def __init__(self, experiment: Experiment):
        self._experiment = experiment

    @functools.cache  # noqa: B019 - a trainer lives as long as its study
    def _compiled(self, num_members: int) -> tuple[Callable[..., Any], Splits]:
        """The segment for so many members, and the data where it wants them."""
        network, tx = self._experiment.network, self._experiment.tx
        how = self._experiment.config.member_axis
        segment = make_segment(network.apply, tx)
        return (
            over_members(segment, num_members, num_shared=3, how=how),
            replicated(self._experiment.splits, num_members),
        )

    def segments(self, start_step: int) -> list[Segment]:
        """The segments from a step to the end of the budget."""
        config = self._experiment.config
        return segments(
            start_step,
            config.num_steps,
            every=config.eval_every_steps,
            checkpoint_every=config.checkpoint_every_steps,
            rewind_step=config.rewind.step,
        )

    def eval_steps(self, start_step: int) -> list[int]:
        """The steps of the evaluations from a step to the end of the budget."""
        config = self._experiment.config
        return eval_steps(
            start_step, config.num_steps, config.eval_every_steps, config.rewind.step
        )

    def begin(self, members: list[Member], start: Start, start_step: int) -> InFlight:
        """Members before their first segment."""
        shape = (len(members), len(self.eval_steps(start_step)))
        empty = np.full(shape, np.nan, np.float32)
        curves = Curves(empty, Metrics(empty, empty), Metrics(empty, empty))
        return InFlight(start.state, curves)

    def train(
        self, members: list[Member], masks: Masks, flight: InFlight, start_step: int
    ) -> Iterator[tuple[int, InFlight]]:
        """Trains to the end of the budget, yielding (step, members) after each segment.

        Args:
          members: M of them.
          masks: of all members, leading axis M; they do not change.
          flight: from `begin`, or any that `train` yielded.
          start_step: the step at which the level began.

        Raises:
          TrainingDiverged: naming member, level and step, when a loss is not finite.
        """
        reached = int(np.asarray(flight.state.step)[0])
        todo = [s for s in self.segments(start_step) if s.start_step >= reached]
        all_evals = self.eval_steps(start_step)
        state, curves = flight
        run_segment, splits = self._compiled(len(members))
        indices = self._indices(members, todo[0]) if todo else None
        for segment, following in zip(todo, [*todo[1:], None], strict=True):
            state, found = run_segment(state, masks, indices, *splits)
            if following:  # on the host, while the device trains
                indices = self._indices(members, following)
            found = jax.device_get(found)
            first = all_evals.index(segment.start_step + segment.num_steps)
            steps = all_evals[first : first + segment.num_evals]
            _check_finite(members, steps, found)
            curves = jax.tree.map(
                lambda whole, part, at=first: _written(whole, part, at), curves, found
            )
            yield segment.stop_step, InFlight(state, curves)

    def evaluate_train(self, state: TrainState) -> Metrics:
        """Metrics on the whole training split, float32[M]."""
        num_members = len(state.step)
        evaluate = self._compiled_evaluate(num_members)
        _, splits = self._compiled(num_members)
        metrics: Metrics = jax.device_get(evaluate(state, splits.train))
        return metrics

    @functools.cache  # noqa: B019
    def _compiled_evaluate(self, num_members: int) -> Callable[..., Any]:
        how = self._experiment.config.member_axis
        evaluate = make_evaluate(self._experiment.network.apply)
        return over_members(evaluate, num_members, num_shared=1, how=how)

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
    finite = np.isfinite(found.batch_loss) & np.isfinite(found.validation.loss)
    if finite.all():
        return
    v, m = min((v, m) for m, v in np.argwhere(~finite))
    raise TrainingDiverged(
        f"the loss of replicate {members[m].replicate}, arm {members[m].arm}, level"
        f" {members[m].level} is no longer finite at step {steps[v]}; a lower"
        " optimizer.learning_rate may help. What was done before is kept"
    )
