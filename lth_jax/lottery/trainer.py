"""Trainer: trains stacked jobs of one program, segment by segment."""

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
from lth_jax.lottery.begun import Begun, Training, frozen_of
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.pace import Pace
from lth_jax.lottery.programs import Programs
from lth_jax.lottery.segments import Segment
from lth_jax.lottery.stacking import filled, split, stacked, without_repeated
from lth_jax.lottery.study import Study
from lth_jax.masks import Params
from lth_jax.training import Curves, Metrics, TrainState
from lth_jax.training.optimizers import Rates

_MEMORY_FRACTION = 0.8  # of the free memory; XLA and others need the rest
_MOST_MEMBERS = 1024  # more members do not keep a device busier


class Measured(NamedTuple):
    """Results beside the curves: metrics, float32[R], and accuracies by example."""

    test_at_start: Metrics
    test_at_best: Metrics
    train_at_end: Metrics
    # On each test example, for the best net and at the end, float32[R, N] each. None if
    # the loss has no accuracy.
    accuracies: tuple[np.ndarray, np.ndarray] | None


class _Fixed(NamedTuple):
    """The arguments that are the same in all calls that train some jobs."""

    segment_of: Callable[[int], Callable[..., Any]]  # compiled, by number of members
    own: Any  # the members' `own` argument of the segment; see `Programs`
    rates: Rates | None  # float32[M]; None if their program holds them
    draw_keys: jax.Array  # key[M]


class TrainingDiverged(UserError):
    """A loss is not finite, at the start or later."""

    is_common = True  # every process has all losses


class Trainer:
    """Trains members of all studies that share their programs with `study`."""

    def __init__(self, study: Study):
        self._config = study.config
        self._programs = Programs(study)
        self._halving = Halving(study.config.members_per_call)
        self._compiled: set[Hashable] = set()
        self._paces: dict[Hashable, Pace] = collections.defaultdict(Pace)
        self._pace = Pace()  # of the jobs that train now

    def members_per_call(self, num_replicates: int) -> int:
        """How many members a call should have, by the config or else by the memory."""
        if self._halving.at_once is None and jax.default_backend() == "cpu":
            # With this number no core idles, and members are not many more than cores.
            cores = jax.device_count() // (self._config.mesh.data or 1)
            return min(math.lcm(num_replicates, cores), 2 * max(num_replicates, cores))
        if self._halving.at_once is None:
            fitting, self._programs.least_data = devices.from_first(self._fitting)
            self._halving.at_once = min(max(1, fitting), _MOST_MEMBERS)
        return self._halving.at_once

    def _fitting(self) -> tuple[int, int]:
        """How many members fit the devices, and how many devices each member needs."""
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
        """Compiles the segments that jobs of one program and step still have to train.

        `around` makes the context in which each compilation happens.
        """
        job, size = begun[0].job, self._num_trained(begun)
        training = filled(stacked([one.training for one in begun]), size)
        fixed, program = self._fixed(begun), self._program(begun)
        for segment in job.segments:
            name = program, segment._replace(start_step=0)
            if segment.stop_step > begun[0].step and name not in self._compiled:
                shape = segment.num_evals, segment.num_steps, job.study.config.batch_size
                batches = np.zeros((size, *shape), np.int32)
                with around():
                    self._call(begun, fixed, segment, batches, training, (0, 0))
                self._compiled.add(name)

    def train(
        self, begun: Sequence[Begun]
    ) -> Iterator[tuple[int, Callable[[], list[Begun]]]]:
        """Trains jobs of one program and step to their last step.

        After each call it yields the step, and a function that returns the jobs then.

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
                done = max(0, at - segment.start_step)
                while done < segment.total_steps:
                    # Each process has its own clock.
                    stop = devices.from_first(functools.partial(pace.stop, done, segment))
                    if jobs[0].draws_masks:
                        stop = min(stop, segment.next_evaluation(done))
                    part = done, stop
                    with pace.measured(part, segment):
                        training = self._call(
                            begun, fixed, segment, batches, training, part
                        )
                        if stop % segment.num_steps == 0:
                            training = self._with_masks_drawn(training)
                    done = stop
                    step = segment.start_step + done
                    yield step, functools.partial(_reached, begun, training)

    def seconds_left(self) -> float | None:
        """Seconds until the call in flight ends, by earlier calls; None if unknown.

        Another thread calls it.
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
        """Trains all members through `part`, some of a segment's steps."""
        job, (segment_of, own, rates, draw_keys) = begun[0].job, fixed
        state, masks, best, curves, early_bird = training
        first = job.evaluations_before(segment)
        due = job.test_due[first : first + segment.num_evals]
        (state, masks, best), found = self._halving.run(
            segment_of,
            *(state, masks, best, own, rates, batches, draw_keys),
            shared=(due, tuple(map(np.int32, part))),
        )
        made = segment.evaluations(part)
        found = jax.tree.map(lambda x: x[:, made], devices.on_host(found))
        at = slice(first + made.start, first + made.stop)
        self._check_finite(begun, job.eval_steps[at], found)
        curves = jax.tree.map(lambda x, new: _written(x, new, at), curves, found)
        return Training(state, masks, best, curves, early_bird)

    def _with_masks_drawn(self, training: Training) -> Training:
        """The training after the masks of an evaluation are drawn, where they are."""
        if training.early_bird is None:
            return training
        state = dataclasses.replace(training.state, opt_state=())
        now = training.early_bird, state, training.masks
        found = self._halving.run(self._programs.draw_masks, *now)
        return training._replace(early_bird=found)

    def _num_trained(self, begun: Sequence[Begun]) -> int:
        """How many members train, with copies of the last one if devices need them.

        With a number that divides evenly over the devices, each member stays on its
        devices from call to call. There are no copies where memory holds no more.
        """
        number = _num_members(begun)
        more = self._programs.in_whole_rounds(number)
        most = self._halving.at_once
        return more if most is None or more <= most else number

    def _program(self, begun: Sequence[Begun]) -> Hashable:
        """A key of the compiled calls: jobs with equal keys share them and their pace."""
        job, compact = begun[0].job, begun[0].compact
        small = compact and (compact.module, compact.is_flat)
        return job.how.dynamics, small, _num_members(begun)

    def _fixed(self, begun: Sequence[Begun]) -> _Fixed:
        """The arguments that stay the same in all calls that train these jobs."""
        job, compact = begun[0].job, begun[0].compact
        segment_of: Callable[[int], Callable[..., Any]] = self._programs.static
        own: Any = frozen_of(begun)
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
        """Measures, on the large nets, what was not measured while jobs trained."""
        frozen = frozen_of(begun)
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
        """Raises TrainingDiverged for the first evaluation with a loss not finite."""
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
        """Metrics of the nets that jobs start from, float32[M]."""
        start = stacked([one.start.state for one in begun])
        return self._evaluate(split, start, frozen_of(begun))[0]

    def _evaluate(
        self, split: str, state: TrainState, frozen: Params | None
    ) -> tuple[Metrics, Any]:
        """The results of `Programs.evaluate` for M members, on the host."""
        make = functools.partial(self._programs.evaluate, split)
        state = dataclasses.replace(state, opt_state=())  # nothing reads the moments
        found: tuple[Metrics, Any] = devices.on_host(
            self._halving.run(make, state, frozen)
        )
        return found


def _reached(begun: Sequence[Begun], training: Training) -> list[Begun]:
    """The jobs, each with its part of the stacked training."""
    training = without_repeated(training, _num_members(begun))
    parts = zip(begun, split(training, len(begun)), strict=True)
    return [one._replace(training=part) for one, part in parts]


def _num_members(begun: Sequence[Begun]) -> int:
    return sum(len(one.job.members) for one in begun)


def _indices(jobs: Sequence[Job], segment: Segment) -> np.ndarray:
    return np.concatenate([job.batch_indices(segment) for job in jobs])


def _written(whole: np.ndarray, part: np.ndarray, at: slice) -> np.ndarray:
    result = np.array(whole)
    result[:, at] = part
    return result
