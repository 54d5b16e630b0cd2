"""Solutions: trained nets of jobs whose nets a study does not keep.

Examples are copies of a level that see the data in other orders, and the nets of an arm.
They train as the study's own nets did. The workdir keeps them, and none trains twice.
"""

import dataclasses
import functools
import hashlib
import logging
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax import devices
from lth_jax.devices.halving import Halving
from lth_jax.lottery import loop, results
from lth_jax.lottery.arms import Start
from lth_jax.lottery.begun import Begun, begin
from lth_jax.lottery.interruption import Interrupted, Interruption
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.programs import Programs
from lth_jax.lottery.progress import Progress, named
from lth_jax.lottery.tickets import Tickets
from lth_jax.lottery.trainer import Trainer
from lth_jax.masks import Masks, Params
from lth_jax.store import records
from lth_jax.store.checkpoints import Kept, Newest
from lth_jax.store.records import RecordsError, Run
from lth_jax.training import Metrics, sampling
from lth_jax.training.state import BatchStats, TrainState

_MOST_BATCHES = 100  # for the estimate of batch statistics
_log = logging.getLogger(__name__)


class Solution(NamedTuple):
    """Nets at the end of training. Every array has a leading axis, the members."""

    params: Params
    batch_stats: BatchStats
    masks: Masks

    def member(self, at: int) -> tuple[Params, BatchStats]:
        """The params and batch statistics of one member, on the host."""
        own: tuple[Params, BatchStats] = jax.tree.map(
            lambda x: np.asarray(x[at]), (self.params, self.batch_stats)
        )
        return own


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Planted(Job):
    """A job that trains as its arm does, from a start of its own."""

    start: Start  # axis R
    name: str  # of its files; no other start has it

    @classmethod
    def at(cls, job: Job, what: str, start: Start) -> Self:
        """The job from this start. Starts with equal params and masks share a name."""
        digest = hashlib.sha256()
        for leaf in jax.tree.leaves(jax.device_get((start.state.params, start.masks))):
            digest.update(leaf.tobytes())
        name = f"{what}-{digest.hexdigest()[:16]}"
        return cls(**vars(job), start=start, name=name)


class Solutions:
    """The solutions of one study: trained on demand, then kept in its workdir."""

    def __init__(self, tickets: Tickets, interruption: Interruption | None = None):
        study = tickets.study
        self._interruption = interruption or Interruption()
        self._tickets = tickets
        self._folder = tickets.workdir.analyses / "nets"
        self._kept = Kept(self._folder)
        self._trainer = Trainer(study)
        self._programs = Programs(study)
        self._halving = Halving(study.config.members_per_call)

    def of(self, jobs: Sequence[Job]) -> list[Solution]:
        """The trained nets of jobs, in their order; jobs that are not kept train now.

        Raises:
          Missing: with a job that the study has to train before.
          TrainingDiverged: as `Trainer.train`.
          Interrupted: if the study was asked to stop; all training is saved.
        """
        found = [self._find(job) for job in jobs]
        todo = [job for job, known in zip(jobs, found, strict=True) if known is None]
        self._train(todo)
        fresh = iter(todo)
        return [self._read(next(fresh)) if x is None else x for x in found]

    def runs(self, jobs: Sequence[Job]) -> list[list[Run]]:
        """The runs of jobs, with their curves, in the order of the jobs.

        Jobs whose runs are not kept train now. It raises what `of` raises.
        """
        self._train([job for job in jobs if self._find_runs(job) is None])
        return [records.read_file(self._records(job)) for job in jobs]

    def metrics(self, split: str, params: Params, batch_stats: BatchStats) -> Metrics:
        """The metrics of M nets on a whole split, float32[M] each."""
        state = _state(params, batch_stats)
        make = functools.partial(self._programs.evaluate, split)
        found: Metrics = devices.on_host(self._halving.run(make, state, None))[0]
        return found

    def statistics(
        self, job: Job, replicate: int, params: Params, batch_stats: BatchStats
    ) -> BatchStats:
        """Batch statistics of M nets, estimated anew on the same batches for all.

        The batches are drawn for a job's replicate, from one epoch of the training split.
        There are at most 100.
        """
        config, number = job.study.config, len(job.study.splits.train.labels)
        at, size = config.replicates.index(replicate), config.batch_size
        key = job.study.member_keys(job.arm, job.level, "statistics")[at]
        most = min(_MOST_BATCHES, number // size)
        batches = sampling.batch_indices(
            key, 0, most, batch_size=size, num_examples=number
        )
        state = _state(params, batch_stats)
        make, shared = self._programs.statistics, (batches, key)
        return self._halving.run(make, state, shared=shared)

    def each(
        self,
        function: Callable[..., Any],
        members: tuple[Any, ...],
        shared: tuple[Any, ...] = (),
    ) -> Any:
        """A function of one member, applied to M members; the results lie on the host.

        The arrays of `members` have a leading axis M. The function takes a member's own
        arguments, then those of `shared`, then the three splits.
        """
        make = functools.partial(self._programs.own, function, len(shared))
        return devices.on_host(self._halving.run(make, *members, shared=shared))

    def _find(self, job: Job) -> Solution | None:
        """The nets of a job, from the study or from here; None if none are kept."""
        is_own = job.is_ticket and not job.copy and not isinstance(job, Planted)
        if is_own and (trained := self._tickets.trained(job.level)) is not None:
            state = trained.state
            return Solution(state.params, state.batch_stats, trained.masks)
        initial = self._tickets.initial
        masks = jax.tree.map(lambda x: np.ones(x.shape, bool), initial.params)
        like = Solution(initial.params, initial.batch_stats, masks)
        found: Solution | None = self._kept.find(_name(job), like)
        return found

    def _find_runs(self, job: Job) -> list[Run] | None:
        path = self._records(job)
        if not path.exists():
            return None
        try:
            return records.read_file(path)
        except RecordsError:
            _log.warning("%s is damaged; training it again", path)
            return None

    def _read(self, job: Job) -> Solution:
        found = self._find(job)
        assert found is not None  # `_train` has just kept it
        return found

    def _train(self, jobs: Sequence[Job]) -> None:
        """Trains jobs to their end; jobs of one program and step train together."""
        if not jobs:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        begun = [self._begin(job) for job in jobs]
        replicates = jobs[0].study.config.num_replicates
        size = max(1, self._trainer.members_per_call(replicates) // replicates)
        groups: dict[object, list[Begun]] = {}
        for one in begun:
            groups.setdefault((one.job.program, one.step), []).append(one)
        with Progress(sum(job.num_member_steps for job in jobs)) as progress:
            for same in groups.values():
                for first in range(0, len(same), size):
                    self._train_together(same[first : first + size], progress)

    def _begin(self, job: Job) -> Begun:
        def starts() -> Any:
            if isinstance(job, Planted):
                return job.start, None
            return loop.start(job, self._tickets.find(job))

        start, goal = devices.from_first(starts)
        return begin(job, start, goal, self._in_training(job))

    def _train_together(self, begun: Sequence[Begun], progress: Progress) -> None:
        at, now = begun[0].step, list(begun)
        ends = {segment.stop_step for segment in begun[0].job.segments}
        for one in begun:
            progress.skip((at - one.job.first_step) * len(one.job.members))
        jobs = [one.job for one in begun]
        self._trainer.compile(begun, lambda: progress.compiling(jobs))
        progress.says(named(jobs))
        with self._interruption.unsaved(self._trainer.seconds_left):
            for step, reached in self._trainer.train(begun):
                for one in begun:
                    progress.advance((step - at) * len(one.job.members))
                at, is_asked = step, self._interruption.is_asked()
                if step in ends or is_asked:
                    now = reached()
                    for one in now:
                        self._in_training(one.job).save(step, one.training)
                if is_asked:
                    raise Interrupted
        self._finish(now)

    def _finish(self, begun: Sequence[Begun]) -> None:
        """Keeps the results of jobs: their records and their nets."""
        ended = [one.readable for one in begun]
        measured = self._trainer.measure(ended)
        for (job, start, _, _, end), found in zip(ended, measured, strict=True):
            records.write(self._records(job), results.runs(job, end, found))
            params, stats = end.state.params, end.state.batch_stats
            self._kept.keep(_name(job), Solution(params, stats, start.masks))
            self._in_training(job).clear()

    def _records(self, job: Job) -> pathlib.Path:
        return self._folder / f"{_name(job)}.csv"

    def _in_training(self, job: Job) -> Newest:
        return Newest(self._folder / f"in_training_{_name(job)}")


def _name(job: Job) -> str:
    arm = job.name if isinstance(job, Planted) else job.arm.replace(":", ".")
    return f"level_{job.level:02d}-{arm}-copy_{job.copy}"


def _state(params: Params, batch_stats: BatchStats) -> TrainState:
    """A state with all that an evaluation of M nets reads."""
    number = len(jax.tree.leaves(params)[0])
    return TrainState(jnp.zeros(number, jnp.int32), params, batch_stats, ())
