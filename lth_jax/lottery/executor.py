"""Executor: trains the jobs that are ready, together where they share a program.

Of one study or of several: jobs of different studies whose programs agree train in one
call. A job whose records are there is done, and any other goes on from where it was left;
running again is resuming. Nothing else batches members or knows of devices.
"""

import contextlib
import logging
import shutil
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from lth_jax.lottery import loop, results
from lth_jax.lottery.arms import Start
from lth_jax.lottery.compaction import compaction
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.progress import Progress
from lth_jax.lottery.tickets import Tickets, Trained
from lth_jax.lottery.trainer import Trainer, Training, begin, expanded
from lth_jax.masks import Masks
from lth_jax.shrinking import CompactMembers
from lth_jax.store.checkpoints import Newest
from lth_jax.store.trackers import Trackers

_log = logging.getLogger(__name__)


class _Begun(NamedTuple):
    """A job that trains: where it started, and its smaller nets, if it has some."""

    job: Job
    start: Start
    compact: CompactMembers | None


class Executor:
    """Runs what is not done yet of some studies, each in its workdir."""

    def __init__(
        self,
        studies: Sequence[Tickets],
        check_interrupted: Callable[[], None] = lambda: None,
    ):
        self._studies = studies
        self._trackers = {id(t): Trackers(t.study.config, t.workdir) for t in studies}
        self._check_interrupted = check_interrupted
        self._trainers: dict[Hashable, Trainer] = {}

    def run(self) -> None:
        """Trains every job that is not done."""
        loops = [loop.find_tickets(tickets) for tickets in self._studies]
        total = sum(
            job.num_member_steps for t in self._studies for job in loop.find_tickets(t)
        )
        waiting: dict[Hashable, list[Job]] = {}
        with contextlib.ExitStack() as stack:
            for watching in self._trackers.values():
                stack.callback(watching.close)
            self._progress = stack.enter_context(Progress(total))
            while loops:
                tickets = []
                for jobs in list(loops):
                    ticket = self._next_ticket(jobs, waiting)
                    tickets += [] if ticket is None else [ticket]
                    if ticket is None:
                        loops.remove(jobs)
                for together in _grouped(tickets):
                    self._train_in_calls(together)
            for together in filter(None, waiting.values()):
                self._train_in_calls(together)
        for tickets_of_one in self._studies:  # left by a kill in the last instant
            for folder in tickets_of_one.workdir.all_in_training():
                shutil.rmtree(folder)

    def _next_ticket(
        self, jobs: Iterable[Job], waiting: dict[Hashable, list[Job]]
    ) -> Job | None:
        """The next ticket that is not done; controls before it wait, or fill a call."""
        for job in jobs:
            if job.is_done:
                self._progress.skip(job.num_member_steps)
            elif job.is_ticket:
                return job
            else:
                same = waiting.setdefault(job.program, [])
                same.append(job)
                while len(same) >= self._jobs_per_call(job):
                    self._train([same.pop(0) for _ in range(self._jobs_per_call(job))])
        return None

    def _train_in_calls(self, jobs: Sequence[Job]) -> None:
        """Trains jobs that share a program, as many together as a call takes."""
        size = self._jobs_per_call(jobs[0])
        for first in range(0, len(jobs), size):
            self._train(jobs[first : first + size])

    def _jobs_per_call(self, job: Job) -> int:
        members = self._trainer(job).members_per_call(job.study.config)
        return max(1, members // job.study.config.num_replicates)

    def _trainer(self, job: Job) -> Trainer:
        key = job.study.program
        if key not in self._trainers:
            self._trainers[key] = Trainer(job.study)
        return self._trainers[key]

    def _train(self, jobs: Sequence[Job]) -> None:
        """Trains jobs of one program from where they were left to their end."""
        for job in jobs:
            for needed in loop.missing(job):  # damaged: made again, like any other
                self._progress.extend(needed.num_member_steps)
                self._train([needed])
        begun = [self._begin(job) for job in jobs]
        reached: dict[int, list[tuple[_Begun, Training]]] = {}
        for one in begun:
            training = self._resumed(one)
            reached.setdefault(int(training.state.step[0]), []).append((one, training))
        for together in reached.values():
            self._train_together(*map(list, zip(*together, strict=True)))

    def _begin(self, job: Job) -> _Begun:
        start = loop.start(job)
        if job.is_ticket and job.is_whole:
            results.write_ticket(job, start)
        return _Begun(job, start, compaction(job, start))

    def _resumed(self, begun: _Begun) -> Training:
        """A job as it was left; as it begins, if that is under other masks.

        So they are where scores come out otherwise the second time, as they may on a GPU.
        """
        job, start, compact = begun
        fresh = begin(
            job, start if compact is None else Start(compact.states, compact.masks)
        )
        if not job.is_whole:
            return fresh
        found = _in_training(job).newest(fresh)
        if found is None:
            return fresh
        training = Training(*found)
        if job.how.dynamics is None and not _equal(training.masks, fresh.masks):
            _log.warning(
                "%s, level %d: masks came out otherwise than before the interruption;"
                " training from the start of the level",
                job.arm,
                job.level,
            )
            _in_training(job).clear()
            return fresh
        return training

    def _train_together(self, begun: list[_Begun], trainings: list[Training]) -> None:
        """Trains jobs that reached the same step, saving at every segment's end."""
        jobs = [one.job for one in begun]
        trainer, reached = self._trainer(jobs[0]), int(trainings[0].state.step[0])
        for job in jobs:
            self._progress.skip((reached - job.first_step) * len(job.members))
        frozen = [one.start.frozen for one in begun]
        goals = [loop.goal(job) for job in jobs]
        segments = trainer.train(jobs, trainings, frozen, goals, begun[0].compact)
        for step, trainings in segments:
            for job, training in zip(jobs, trainings, strict=True):
                self._progress.advance((step - reached) * len(job.members), job)
                tags = results.by_tag(training.curves)
                watching = self._trackers[id(job.tickets)]
                watching.write(job.arm, job.level, job.eval_steps.tolist(), tags)
                if job.level == 0 and step == job.study.rewind_step:
                    job.tickets.keep_rewind_point(training.state)
                if job.is_whole and step < job.last_step:
                    _in_training(job).save(step, training)
            reached = step
            if reached < jobs[0].last_step:
                self._check_interrupted()
        if jobs[0].is_whole:
            self._finish(begun, trainings)
            self._check_interrupted()

    def _finish(self, begun: list[_Begun], trainings: list[Training]) -> None:
        """Writes what came of jobs, and forgets how they got there."""
        jobs = [one.job for one in begun]
        trainings = [
            training
            if one.compact is None
            else expanded(one.compact, training, one.start.masks)
            for one, training in zip(begun, trainings, strict=True)
        ]
        starts = [one.start for one in begun]
        measured = self._trainer(jobs[0]).measure(starts, trainings)
        for job, start, training, found in zip(
            jobs, starts, trainings, measured, strict=True
        ):
            if job.is_ticket:
                job.tickets.keep_trained(job.level, Trained(training.state, start.masks))
                results.write_histograms(job, start, training.state)
            results.write_records(job, training, found)
            _in_training(job).clear()


def _in_training(job: Job) -> Newest:
    return Newest(job.tickets.workdir.in_training(job.arm, job.level))


def _grouped(jobs: Iterable[Job]) -> list[list[Job]]:
    """Jobs by their program."""
    groups: dict[Hashable, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.program, []).append(job)
    return list(groups.values())


def _equal(a: Masks, b: Masks) -> bool:
    return all(
        np.array_equal(x, y)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )
