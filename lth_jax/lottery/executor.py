"""Executor: trains the jobs that are ready, together if they share a program.

It runs one study or several. Jobs of different studies train in one call if their
programs agree. A job whose records exist is done. Any other job goes on from where it was
left, and to run a study again is to resume it. Arms and criteria know of one member.
"""

import contextlib
import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from lth_jax import devices
from lth_jax.errors import UserError
from lth_jax.lottery import loop, results
from lth_jax.lottery.begun import Begun, Training, begin
from lth_jax.lottery.interruption import Interrupted, Interruption
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.progress import Progress, named
from lth_jax.lottery.spacing import Spacing
from lth_jax.lottery.tickets import Missing, Tickets, Trained
from lth_jax.lottery.trainer import Trainer
from lth_jax.store.trackers import Trackers
from lth_jax.training.early_bird import MOST_DISTANCE

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Executor:
    """Runs the jobs of some studies that are not done yet, each study in its workdir."""

    def __init__(
        self,
        studies: Sequence[Tickets],
        interruption: Interruption | None = None,
    ):
        self._tickets = {tickets.study: tickets for tickets in studies}
        self._trackers = {
            study: Trackers(study.config, tickets.workdir)
            for study, tickets in self._tickets.items()
        }
        self._interruption = interruption or Interruption()
        self._spacing = Spacing()
        self._trainers = {study.program: Trainer(study) for study in self._tickets}

    def run(self) -> None:
        """Trains every job that is not done.

        Raises:
          UserError: the first error; its `study` is the study that failed. Other studies
            can go on.
        """
        loops = [loop.find_tickets(study) for study in self._tickets]
        total = sum(
            j.num_member_steps for s in self._tickets for j in loop.find_tickets(s)
        )
        waiting: dict[Hashable, list[Job]] = {}
        with contextlib.ExitStack() as stack:
            for watching in self._trackers.values():
                stack.callback(watching.close)
            self._progress = stack.enter_context(Progress(total))
            while tickets := [
                ticket for jobs in loops if (ticket := self._next_ticket(jobs, waiting))
            ]:
                for together in _grouped(tickets, lambda job: job.program):
                    self._train_in_calls(together)
            for together in waiting.values():
                self._train_in_calls(together)
            for study in self._tickets:
                for job in loop.find_tickets(study):
                    if job.is_ticket:
                        self._restore(job)
        for own in self._tickets.values():  # a kill at the very end may leave some
            own.clear_training()

    def _next_ticket(
        self, jobs: Iterable[Job], waiting: dict[Hashable, list[Job]]
    ) -> Job | None:
        """The next ticket that is not done; None if there is none.

        Controls before it wait. They train as soon as they fill a call.
        """
        for job in jobs:
            if self._tickets[job.study].is_done(job):
                self._progress.skip(job.num_member_steps)
            elif job.is_ticket:
                return job
            else:
                same = waiting.setdefault(job.program, [])
                same.append(job)
                if len(same) >= self._jobs_per_call(job):
                    self._train_in_calls(waiting.pop(job.program))
        return None

    def _restore(self, job: Job) -> None:
        """Makes the missing or damaged files of a trained ticket again."""
        tickets = self._tickets[job.study]
        lost = tickets.lost_files(job.level)
        for path in lost:
            _log.warning("%s is gone or damaged; making it again", path)
        if lost:
            start = self._begin(job).start  # writes the starting nets and the ticket
            if (trained := tickets.trained(job.level)) is None:
                self._train([job])
            else:
                results.write_histograms(tickets.workdir, job, start, trained.state)

    def _train_in_calls(self, jobs: Sequence[Job]) -> None:
        """Trains jobs that share a program, as many together as a call can hold."""
        size = self._jobs_per_call(jobs[0])
        for first in range(0, len(jobs), size):
            self._train(jobs[first : first + size])

    def _jobs_per_call(self, job: Job) -> int:
        replicates = job.study.config.num_replicates
        return max(1, self._trainer(job).members_per_call(replicates) // replicates)

    def _trainer(self, job: Job) -> Trainer:
        return self._trainers[job.study.program]

    def _train(self, jobs: Sequence[Job]) -> None:
        """Trains jobs of one program from where they were left to their end."""
        for together in _grouped([self._begin(job) for job in jobs], lambda b: b.step):
            self._train_together(together)

    def _begin(self, job: Job) -> Begun:
        """A job at its start, or as it was left; first trains the jobs that it needs."""
        tickets = self._tickets[job.study]
        if job.parent is not None:
            self._progress.says(f"pruning for {named([job])}")
        while True:
            try:
                found = tickets.find(job)
                break
            except Missing as missing:  # damaged nets are trained again
                self._progress.extend(missing.job.num_member_steps)
                self._train([missing.job])
        try:
            # One process prunes for all. On a GPU two processes could prune differently,
            # since the last bit of a score can differ.
            with self._progress.once("start", job.arm):
                start, goal = devices.from_first(lambda: loop.start(job, found))
        except UserError as error:
            error.study = job.study
            raise
        if job.is_ticket and job.is_whole:
            results.write_ticket(tickets.workdir, job, start)
        return begin(job, start, goal, tickets.in_training(job))

    def _train_together(self, begun: list[Begun]) -> None:
        """Trains jobs that are at the same step, with checkpoints between calls.

        If the study is asked to stop, it saves the jobs and raises `Interrupted`.
        """
        job, at, now = begun[0].job, begun[0].step, begun
        jobs = [one.job for one in begun]
        trainer = self._trainer(job)
        for one in begun:
            self._progress.skip((at - job.first_step) * len(one.job.members))
        trainer.compile(begun, lambda: self._progress.compiling(jobs))
        ends = {segment.stop_step for segment in job.segments}
        self._progress.says(named(jobs))
        with self._interruption.unsaved(trainer.seconds_left):
            for step, reached in trainer.train(begun):
                for one in begun:
                    self._progress.advance((step - at) * len(one.job.members))
                at, is_end = step, step in ends
                if is_end:
                    now = reached()
                    self._keep(now)
                asked = self._interruption.is_asked()
                if asked or (step < job.last_step and self._is_due()):
                    self._checkpoint(now if is_end else reached())
                if asked:
                    raise Interrupted
            if job.is_whole:
                with self._progress.once("measure", job.program):
                    self._finish(now)

    def _keep(self, reached: list[Begun]) -> None:
        """Keeps the nets that other jobs need, and writes curves, at a segment's end."""
        for one in reached:
            job, tickets = one.job, self._tickets[one.job.study]
            curves = results.by_tag(one.training.curves)
            self._trackers[job.study].write(
                job.arm, job.level, job.eval_steps.tolist(), curves
            )
            if job.level == 0 and one.step == job.study.rewind_step:
                tickets.keep_rewind_point(one.training.state)
            if job.is_ticket and one.step == job.study.prune_step:
                trained = Trained(one.readable.training.state, one.start.masks)
                tickets.keep_pruned_from(job.level, trained)

    def _is_due(self) -> bool:
        """Whether to write a checkpoint; the first process decides by its own clock."""
        is_due: bool = devices.from_first(self._spacing.is_due)
        return is_due

    def _checkpoint(self, reached: list[Begun]) -> None:
        """Writes all that jobs need to go on; only for jobs of the whole budget."""
        if not reached[0].job.is_whole:
            return
        with self._spacing.measured():
            for one in reached:
                in_training = self._tickets[one.job.study].in_training(one.job)
                in_training.save(one.step, one.training)

    def _finish(self, begun: list[Begun]) -> None:
        """Writes the results of jobs, and removes their checkpoints."""
        begun = [one.readable for one in begun]
        measured = self._trainer(begun[0].job).measure(begun)
        for one, found in zip(begun, measured, strict=True):
            job, start, _, _, end = one
            tickets = self._tickets[job.study]
            if job.is_ticket:
                _warn_of_restless(job, end)
                if (state := end.pruned_from(job.study.config.prune.at)) is not None:
                    tickets.keep_pruned_from(job.level, Trained(state, start.masks))
                tickets.keep_trained(job.level, Trained(end.state, start.masks))
                results.write_histograms(tickets.workdir, job, start, end.state)
            results.write_correct(tickets.workdir, job, found)
            results.write_records(tickets.workdir, job, end, found)
            tickets.in_training(job).clear()


def _warn_of_restless(job: Job, end: Training) -> None:
    """Warns of nets whose masks never come to rest, though their study waits for it."""
    is_pruned = job.level + 1 < job.study.config.num_levels
    if is_pruned and end.early_bird is not None:
        distances = np.asarray(end.early_bird.distance)
        if number := int((distances >= MOST_DISTANCE).sum()):
            told = "level %d: masks of %d of %d nets did not come to rest; these nets are"
            told += " pruned at the end of training"
            _log.warning(told, job.level, number, len(distances))


def _grouped(things: Iterable[T], by: Callable[[T], Hashable]) -> list[list[T]]:
    """Lists of the things that agree in `by`, in their order."""
    groups: dict[Hashable, list[T]] = {}
    for thing in things:
        groups.setdefault(by(thing), []).append(thing)
    return list(groups.values())
