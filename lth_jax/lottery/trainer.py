"""Trainer: stacked jobs of one program, segment by segment."""

import concurrent.futures
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax import devices
from lth_jax.config import StudyConfig
from lth_jax.devices.halving import Halving
from lth_jax.errors import UserError
from lth_jax.lottery.arms import Start
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.programs import Programs
from lth_jax.lottery.segments import Segment
from lth_jax.lottery.study import Study
from lth_jax.masks import Masks, Params
from lth_jax.shrinking import CompactMembers
from lth_jax.training import Best, Curves, Metrics, TrainState
from lth_jax.training.connections import Counts

_MEMORY_FRACTION = 0.8  # the rest for what XLA and others keep
_MOST_MEMBERS = 1024  # beyond, a device is busy all the same


class Training(NamedTuple):
    """Members at a segment boundary: all that is needed to go on from there.

    Attributes:
      state: of all members, leading axis R.
      masks: as they are then, where they change.
      best: what they were at their least validation loss so far.
      curves: float32[R, V] arrays for all V evaluations, NaN where still to come.
    """

    state: TrainState
    masks: Masks
    best: Best
    curves: Curves


class Measured(NamedTuple):
    """Metrics that no curve has, float32[R]."""

    test_at_start: Metrics
    test_at_best: Metrics
    train_at_end: Metrics


class TrainingDiverged(UserError):
    """A loss that is no longer finite."""


def begin(job: Job, start: Start) -> Training:
    """A job before its first segment."""
    empty = np.full((len(job.members), len(job.eval_steps)), np.nan, np.float32)
    metrics: Metrics = dict.fromkeys(("loss", *job.study.loss.metrics), empty)
    best = jax.vmap(Best.before)(start.state)
    return Training(start.state, start.masks, best, Curves(empty, metrics, metrics))


class Trainer:
    """Trains members of studies that share their programs with one study."""

    def __init__(self, study: Study):
        self._programs = Programs(study)
        self._halving = Halving(study.config.members_per_call)

    def members_per_call(self, config: StudyConfig) -> int:
        """How many members a call should have: as the config says, or the memory."""
        if config.members_per_call is None and jax.default_backend() == "cpu":
            # No core idles, and there are not many more members than cores.
            cores, replicates = jax.local_device_count(), config.num_replicates
            return min(math.lcm(replicates, cores), 2 * max(replicates, cores))
        if self._halving.at_once is None:
            room = _MEMORY_FRACTION * devices.free_memory_bytes()
            fitting = int(room) // self._programs.bytes_per_member()
            self._halving.at_once = min(max(1, fitting), _MOST_MEMBERS)
        return self._halving.at_once

    def train(
        self,
        jobs: Sequence[Job],
        trainings: Sequence[Training],
        frozen: Sequence[Params | None],
        goals: Sequence[Counts | None],
        compact: CompactMembers | None,
    ) -> Iterator[tuple[int, list[Training]]]:
        """Trains to the jobs' last step, yielding (step, trainings) after each segment.

        Args:
          jobs: of one program, which reached the same step.
          trainings: of each, from `begin`, or any that this yielded.
          frozen: what pruned weights of each stay at; None: 0.
          goals: the counts that masks of each come to; None where they stay.
          compact: the smaller nets of a single job, whose states `trainings` has.

        Raises:
          TrainingDiverged: naming member, level and step, when a loss is not finite.
        """
        (reached,) = {int(t.state.step[0]) for t in trainings}
        todo = [s for s in jobs[0].segments if s.start_step >= reached]
        state, masks, best, curves = _stacked(trainings)
        run = self._runner(jobs, _with_zeros(frozen, trainings), goals, compact)
        # Batches are drawn on the host while the device trains.
        with concurrent.futures.ThreadPoolExecutor(1) as host:
            drawn = [host.submit(_indices, jobs, s) for s in todo[:1]]
            for segment, following in zip(todo, [*todo[1:], None], strict=True):
                indices = drawn.pop().result()
                if following:
                    drawn.append(host.submit(_indices, jobs, following))
                first = _evaluations_before(jobs[0], segment)
                due = jobs[0].test_due[first : first + segment.num_evals]
                (state, masks, best), found = run(state, masks, best, indices, due)
                found = jax.device_get(found)
                steps = jobs[0].eval_steps[first : first + segment.num_evals]
                _check_finite(jobs, steps, found)
                curves = jax.tree.map(
                    lambda whole, part, at=first: _written(whole, part, at), curves, found
                )
                yield (
                    segment.stop_step,
                    _split(Training(state, masks, best, curves), len(jobs)),
                )

    def _runner(
        self,
        jobs: Sequence[Job],
        frozen: Params | None,
        goals: Sequence[Counts | None],
        compact: CompactMembers | None,
    ) -> Callable[..., Any]:
        """Makes `run(state, masks, best, indices, due) -> ((…), curves)`."""
        draw_keys = jnp.concatenate([job.keys("draws") for job in jobs])
        dynamics = jobs[0].how.dynamics
        if dynamics is not None:
            mask_keys = jnp.concatenate([job.keys("connections") for job in jobs])
            changing = functools.partial(self._programs.changing, dynamics)
            goal = _stacked(goals)

            def run_changing(
                state: TrainState, masks: Masks, best: Best, indices: Any, due: Any
            ) -> Any:
                members = state, masks, best, goal, indices, draw_keys, mask_keys
                return self._halving.run(changing, *members, shared=(due,))

            return run_changing
        static: Callable[[int], Callable[..., Any]] = self._programs.static
        own: Any = frozen
        if compact is not None:
            static = functools.partial(
                self._programs.compact, compact.module, compact.is_flat
            )
            own = compact.kept

        def run(
            state: TrainState, masks: Masks, best: Best, indices: Any, due: Any
        ) -> Any:
            members = state, masks, best, own, indices, draw_keys
            (state, best), found = self._halving.run(static, *members, shared=(due,))
            return (state, masks, best), found

        return run

    def measure(
        self, starts: Sequence[Start], trainings: Sequence[Training]
    ) -> list[Measured]:
        """What was not measured while jobs trained."""
        frozen = _with_zeros([start.frozen for start in starts], trainings)
        whole = _stacked(trainings)
        best = TrainState(whole.best.step, whole.best.params, whole.best.batch_stats, ())
        found = Measured(
            self._evaluate("test", _stacked([start.state for start in starts]), frozen),
            self._evaluate("test", best, frozen),
            self._evaluate("train", whole.state, frozen),
        )
        return _split(found, len(starts))

    def _evaluate(self, split: str, state: TrainState, frozen: Params | None) -> Metrics:
        """Metrics on a whole split, float32[M]."""
        make = functools.partial(self._programs.evaluate, split)
        state = dataclasses.replace(state, opt_state=())  # nothing reads the moments
        metrics: Metrics = jax.device_get(self._halving.run(make, state, frozen))
        return metrics


def expanded(compact: CompactMembers, training: Training, masks: Masks) -> Training:
    """The large nets' training, from that of the smaller ones."""
    best, state = training.best, compact.expand(training.state)
    at_best = dataclasses.replace(
        training.state, params=best.params, batch_stats=best.batch_stats
    )
    large = compact.expand(at_best)
    best = best._replace(params=large.params, batch_stats=large.batch_stats)
    return Training(state, masks, best, training.curves)


def _stacked(trees: Sequence[Any]) -> Any:
    if len(trees) == 1:
        return trees[0]
    # On the host, since jobs may lie on different devices.
    parts = jax.device_get(list(trees))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _split(tree: Any, number: int) -> list[Any]:
    """As many trees, of the members of one job each."""
    if number == 1:
        return [tree]
    # On the host: members lie on several devices, and slicing there makes these wait for
    # one another, which on CPU can deadlock.
    tree = jax.device_get(tree)
    size = len(jax.tree.leaves(tree)[0]) // number
    return [
        jax.tree.map(lambda x, i=i: x[i * size : (i + 1) * size], tree)
        for i in range(number)
    ]


def _with_zeros(
    frozen: Sequence[Params | None], trainings: Sequence[Training]
) -> Params | None:
    """Stacked; None where all are, so that nothing is added in vain."""
    if all(own is None for own in frozen):
        return None
    return _stacked(
        [
            jax.tree.map(jnp.zeros_like, training.state.params) if own is None else own
            for own, training in zip(frozen, trainings, strict=True)
        ]
    )


def _indices(jobs: Sequence[Job], segment: Segment) -> np.ndarray:
    return np.concatenate([job.batch_indices(segment) for job in jobs])


def _evaluations_before(job: Job, segment: Segment) -> int:
    return int(np.searchsorted(job.eval_steps, segment.start_step, side="right"))


def _written(whole: np.ndarray, part: np.ndarray, at: int) -> np.ndarray:
    result = np.array(whole)
    result[:, at : at + part.shape[1]] = part
    return result


def _check_finite(jobs: Sequence[Job], steps: np.ndarray, found: Curves) -> None:
    finite = np.isfinite(found.batch_loss) & np.isfinite(found.validation["loss"])
    if finite.all():
        return
    v, m = min((v, m) for m, v in np.argwhere(~finite))
    member = [member for job in jobs for member in job.members][m]
    raise TrainingDiverged(
        f"the loss of replicate {member.replicate}, arm {member.arm}, level"
        f" {member.level} is no longer finite at step {steps[v]}; a lower"
        " optimizer.learning_rate may help. What was done before is kept"
    )
