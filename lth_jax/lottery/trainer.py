"""Trainer: stacked jobs of one program, segment by segment."""

import collections
import concurrent.futures
import dataclasses
import functools
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax import devices
from lth_jax.devices.halving import Halving
from lth_jax.errors import UserError
from lth_jax.lottery.begun import Begun, Training
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.pace import Pace
from lth_jax.lottery.programs import Programs
from lth_jax.lottery.segments import Segment
from lth_jax.lottery.stacking import filled, split, stacked, without_repeated
from lth_jax.lottery.study import Study
from lth_jax.masks import Params
from lth_jax.training import Curves, Metrics, TrainState
from lth_jax.training.optimizers import Rates

_MEMORY_FRACTION = 0.8  # the rest for what XLA and others keep
_MOST_MEMBERS = 1024  # beyond, a device is busy all the same


class Measured(NamedTuple):
    """What no curve has: metrics, float32[R], and accuracies on each test example."""

    test_at_start: Metrics
    test_at_best: Metrics
    train_at_end: Metrics
    # On each test example, at best and at the end, float32[R, N] both; None where the
    # loss has no accuracy.
    accuracies: tuple[np.ndarray, np.ndarray] | None


class _Fixed(NamedTuple):
    """What is the same in all calls that train some jobs."""

    segment_of: Callable[[int], Callable[..., Any]]  # compiled, of so many members
    own: Any  # what is theirs in it
    rates: Rates | None  # float32[M]; None where their program has them
    draw_keys: jax.Array  # key[M]


class TrainingDiverged(UserError):
    """A loss that is not finite, at the start or later."""

    is_common = True  # every process has all losses


class Trainer:
    """Trains members of studies that share their programs with one study."""

    def __init__(self, study: Study):
        self._config = study.config
        self._programs = Programs(study)
        self._halving = Halving(study.config.members_per_call)
        self._compiled: set[Hashable] = set()
        self._paces: dict[Hashable, Pace] = collections.defaultdict(Pace)
        self._pace = Pace()  # of what trains now

    def members_per_call(self, num_replicates: int) -> int:
        """How many members a call should have: as the config says, or the memory."""
        if self._halving.at_once is None and jax.default_backend() == "cpu":
            # No core idles, and there are not many more members than cores.
            cores = jax.device_count() // (self._config.mesh.data or 1)
            return min(math.lcm(num_replicates, cores), 2 * max(num_replicates, cores))
        if self._halving.at_once is None:
            fitting, self._programs.least_data = devices.from_first(self._fitting)
            self._halving.at_once = min(max(1, fitting), _MOST_MEMBERS)
        return self._halving.at_once

    def _fitting(self) -> tuple[int, int]:
        """How many members fit the devices, and how many devices each needs for that."""
        free = devices.free_memory_bytes() / jax.local_device_count()
        asked, batch_size = self._config.mesh.data, self._config.batch_size
        shares = devices.data_sizes() if asked is None else [asked]
        for num_data in (share for share in shares if batch_size % share == 0):
            needed = self._programs.bytes_per_member(num_data)
            if fitting := int(_MEMORY_FRACTION * free // needed):
                return fitting * (jax.device_count() // num_data), num_data
        return 0, 1

    def compile(
        self,
        begun: Sequence[Begun],
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Compiles what jobs of one program and step have yet to train by.

        `around` makes what each compilation happens in.
        """
        job, size = begun[0].job, self._num_trained(begun)
        training = filled(stacked([one.training for one in begun]), size)
        fixed, program = self._fixed(begun), self._program(begun)
        for segment in job.segments:
            name = program, segment.num_evals, segment.num_steps
            if segment.stop_step > begun[0].step and name not in self._compiled:
                shape = segment.num_evals, segment.num_steps, job.study.config.batch_size
                batches = np.zeros((size, *shape), np.int32)
                with around():
                    self._call(begun, fixed, segment, batches, training, (0, 0))
                self._compiled.add(name)

    def train(
        self, begun: Sequence[Begun]
    ) -> Iterator[tuple[int, Callable[[], list[Begun]]]]:
        """Trains jobs of one program and step to their last.

        After each call it yields the step, and what makes the jobs as they are then.

        Raises:
          TrainingDiverged: naming member, level and step, when a loss is not finite.
        """
        jobs, at = [one.job for one in begun], begun[0].step
        todo = [s for s in jobs[0].segments if s.stop_step > at]
        fixed, size = self._fixed(begun), self._num_trained(begun)
        training = filled(stacked([one.training for one in begun]), size)
        pace = self._pace = self._paces[self._program(begun)]
        # Batches are drawn on the host while the device trains.
        with concurrent.futures.ThreadPoolExecutor(1) as host:
            drawn = [host.submit(_indices, jobs, s) for s in todo[:1]]
            for number, segment in enumerate(todo, start=1):
                batches = filled(drawn.pop().result(), size)
                following = todo[number : number + 1]
                drawn = [host.submit(_indices, jobs, s) for s in following]
                done = max(0, at - segment.start_step) // segment.num_steps
                while done < segment.num_evals:
                    stop = functools.partial(pace.stop, done, segment)
                    part = done, devices.from_first(stop)  # each has its own clock
                    with pace.measured(part, segment):
                        training = self._call(
                            begun, fixed, segment, batches, training, part
                        )
                    done = part[1]
                    step = segment.start_step + done * segment.num_steps
                    yield step, functools.partial(_reached, begun, training)

    def seconds_left(self) -> float | None:
        """How long the call in flight goes on, as those before took; None if unknown.

        Asked by another thread.
        """
        return self._pace.seconds_left()

    def _call(
        self,
        begun: Sequence[Begun],
        fixed: _Fixed,
        segment: Segment,
        batches: np.ndarray,
        training: Training,
        part: tuple[int, int],
    ) -> Training:
        """Trains to some of a segment's evaluations, all members together."""
        job, (segment_of, own, rates, draw_keys) = begun[0].job, fixed
        state, masks, best, curves = training
        first = _first_evaluation(job, segment)
        due = job.test_due[first : first + segment.num_evals]
        (state, masks, best), found = self._halving.run(
            segment_of,
            *(state, masks, best, own, rates, batches, draw_keys),
            shared=(due, tuple(map(np.int32, part))),
        )
        found = jax.tree.map(lambda x: x[:, slice(*part)], devices.on_host(found))
        at = slice(first + part[0], first + part[1])
        self._check_finite(begun, job.eval_steps[at], found)
        curves = jax.tree.map(lambda x, new: _written(x, new, at), curves, found)
        return Training(state, masks, best, curves)

    def _num_trained(self, begun: Sequence[Begun]) -> int:
        """How many members train: the last is repeated where devices do not divide them.

        So each stays on its devices from call to call. Not where memory holds no more.
        """
        number = _num_members(begun)
        more = self._programs.in_whole_rounds(number)
        most = self._halving.at_once
        return more if most is None or more <= most else number

    def _program(self, begun: Sequence[Begun]) -> Hashable:
        """What jobs train by: those with the same share compiled calls and their pace."""
        job, compact = begun[0].job, begun[0].compact
        small = compact and (compact.module, compact.is_flat)
        return job.how.dynamics, small, _num_members(begun)

    def _fixed(self, begun: Sequence[Begun]) -> _Fixed:
        """What stays the same in all calls that train these jobs."""
        job, compact = begun[0].job, begun[0].compact
        segment_of: Callable[[int], Callable[..., Any]] = self._programs.static
        own: Any = _frozen(begun)
        if job.how.dynamics is not None:
            mask_keys = jnp.concatenate([one.job.keys("connections") for one in begun])
            own = stacked([one.goal for one in begun]), mask_keys
            segment_of = functools.partial(self._programs.changing, job.how.dynamics)
        elif compact is not None:
            small = compact.module, compact.is_flat
            own = compact.kept
            segment_of = functools.partial(self._programs.compact, *small)
        rates = stacked([one.job.rates for one in begun])
        draw_keys = jnp.concatenate([one.job.keys("draws") for one in begun])
        theirs = filled((own, rates, draw_keys), self._num_trained(begun))
        return _Fixed(segment_of, *theirs)

    def measure(self, begun: Sequence[Begun]) -> list[Measured]:
        """What was not measured while jobs trained, of the large nets."""
        frozen = _frozen(begun)
        end = stacked([one.training for one in begun])
        test_at_best, at_best = self._evaluate("test", end.best.state, frozen)
        accuracies = None
        if at_best is not None:
            accuracies = at_best, self._evaluate("test", end.state, frozen)[1]
        found = Measured(
            self._at_start("test", begun),
            test_at_best,
            self._evaluate("train", end.state, frozen)[0],
            accuracies,
        )
        return split(found, len(begun))

    def _check_finite(
        self, begun: Sequence[Begun], steps: np.ndarray, found: Curves
    ) -> None:
        """Raises TrainingDiverged for the first evaluation and member not finite."""
        finite = np.isfinite(found.batch_loss) & np.isfinite(found.validation["loss"])
        if finite.all():
            return
        v, m = min((v, m) for m, v in np.argwhere(~finite))
        job, member = [(one.job, x) for one in begun for x in one.job.members][m]
        if np.isfinite(self._at_start("validation", begun)["loss"][m]):
            when = f"is no longer finite at step {steps[v]}"
            why = "a lower optimizer.learning_rate may help"
        else:
            when = "is not finite before its first step"
            why = "the net as it starts, or its data, are the cause"
        error = TrainingDiverged(
            f"the loss of replicate {member.replicate}, arm {member.arm}, level"
            f" {member.level} {when}; {why}. What was done before is kept"
        )
        error.study = job.study
        raise error

    def _at_start(self, split: str, begun: Sequence[Begun]) -> Metrics:
        """Metrics of what jobs start from, float32[M]."""
        start = stacked([one.start.state for one in begun])
        return self._evaluate(split, start, _frozen(begun))[0]

    def _evaluate(
        self, split: str, state: TrainState, frozen: Params | None
    ) -> tuple[Metrics, Any]:
        """What `Programs.evaluate` has of so many members, on the host."""
        make = functools.partial(self._programs.evaluate, split)
        state = dataclasses.replace(state, opt_state=())  # nothing reads the moments
        found: tuple[Metrics, Any] = devices.on_host(
            self._halving.run(make, state, frozen)
        )
        return found


def _reached(begun: Sequence[Begun], training: Training) -> list[Begun]:
    """Jobs at what all of them together have come to."""
    training = without_repeated(training, _num_members(begun))
    parts = zip(begun, split(training, len(begun)), strict=True)
    return [one._replace(training=part) for one, part in parts]


def _num_members(begun: Sequence[Begun]) -> int:
    return sum(len(one.job.members) for one in begun)


def _frozen(begun: Sequence[Begun]) -> Params | None:
    """What pruned weights stay at; None where all are 0, so that nothing is added."""
    if all(one.start.frozen is None for one in begun):
        return None
    return stacked(
        [
            jax.tree.map(jnp.zeros_like, one.start.state.params)
            if one.start.frozen is None
            else one.start.frozen
            for one in begun
        ]
    )


def _indices(jobs: Sequence[Job], segment: Segment) -> np.ndarray:
    return np.concatenate([job.batch_indices(segment) for job in jobs])


def _first_evaluation(job: Job, segment: Segment) -> int:
    """Which of a job's evaluations is a segment's first."""
    return int(np.searchsorted(job.eval_steps, segment.start_step, side="right"))


def _written(whole: np.ndarray, part: np.ndarray, at: slice) -> np.ndarray:
    result = np.array(whole)
    result[:, at] = part
    return result
