"""Tickets: the nets and masks that a study has found so far, in its workdir."""

import dataclasses
import functools
import logging
import pathlib
import shutil
from typing import NamedTuple

import jax

from lth_jax import devices, masks
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.study import Study
from lth_jax.masks import Masks
from lth_jax.store import correct, records
from lth_jax.store.checkpoints import Kept, Newest
from lth_jax.store.files import is_lost, is_sealed
from lth_jax.store.workdir import Workdir
from lth_jax.training.state import TrainState

_log = logging.getLogger(__name__)


class Trained(NamedTuple):
    """Tickets at the end of a level, or at the earlier step that masks are pruned at."""

    state: TrainState
    masks: Masks


class Found(NamedTuple):
    """What a job starts from, leading axis R; None for what it does not need."""

    initial: TrainState  # the original inits
    point: TrainState  # the dense nets at the rewind step
    masks: Masks | None = None  # of the job's level; None if they are not pruned yet
    pruned_from: Trained | None = None
    parent: Trained | None = None  # the parent's nets, at the end of its level
    dense: Trained | None = None

    @property
    def full_masks(self) -> Masks:
        """The masks of the dense nets, which keep every weight."""
        return masks.full(self.initial.params)


class Missing(Exception):
    """Nets are not kept, or are damaged; `job` trains them."""

    def __init__(self, job: Job):
        super().__init__(f"{job.arm}, level {job.level}")
        self.job = job


class Tickets:
    """The tickets of one study in its workdir. Arrays have a leading axis R."""

    def __init__(self, study: Study, workdir: Workdir):
        self.study = study
        self.workdir = workdir
        self._kept = Kept(workdir.checkpoints)

    @devices.by_first
    def is_done(self, job: Job) -> bool:
        """Whether a job's records exist, and for a ticket also its trained nets.

        It logs a warning for each missing or damaged file of a job that was done.
        """
        where = self.workdir.records, job.arm, job.level
        path, nets = records.path_of(*where), self.workdir.level(job.level)
        if not path.exists():
            return False
        lost = [p for p in (path, correct.path_of(*where)) if is_lost(p)]
        lost += [nets] if job.is_ticket and not nets.is_dir() else []
        for gone in lost:
            told = "%s is gone or damaged; training %s, level %d, again"
            _log.warning(told, gone, job.arm, job.level)
        return not lost

    @devices.by_first
    def lost_files(self, level: int) -> list[pathlib.Path]:
        """The missing or damaged paths of a level's starting nets and side files.

        `is_done` checks its records and its trained nets; they are not listed here.
        """
        workdir = self.workdir
        points = [workdir.init]
        if level > 0 and self.study.rewind_step > 0:
            points.append(workdir.rewind)
        gone = [path for path in points if not path.is_dir()]
        return gone + [p for p in workdir.side_files(level) if not is_sealed(p)]

    @devices.by_first
    def clear_training(self) -> None:
        """Removes the checkpoints of all jobs. Call it when no job trains."""
        for folder in self.workdir.all_in_training():
            shutil.rmtree(folder)

    def in_training(self, job: Job) -> Newest:
        """The checkpoints of a job that trains."""
        return Newest(self.workdir.in_training(job.arm, job.level))

    def find(self, job: Job) -> Found:
        """What a job starts from.

        Raises:
          Missing: with the job that has to train before.
        """
        initial = point = self.initial
        starts_late = job.parent is not None or job.copy > 0
        if starts_late and self.study.rewind_step > 0:
            point = self._kept.find(self.workdir.rewind.name, initial)
            if point is None:
                raise Missing(job.dense.until(self.study.rewind_step))
        if job.parent is None:
            return Found(initial, point)
        own = None if job.how.is_criterion else self.trained(job.level)
        prunes_trained = own is None and job.prunes_trained
        return Found(
            initial,
            point,
            None if own is None else own.masks,
            self._pruned_from(job.parent) if prunes_trained else None,
            self._needed(job.parent) if job.reads_parent else None,
            self._needed(job.dense) if job.how.needs_dense else None,
        )

    def _needed(self, job: Job) -> Trained:
        trained = self.trained(job.level)
        if trained is None:
            raise Missing(job)
        return trained

    def _pruned_from(self, job: Job) -> Trained:
        """A job's nets at the step that masks are pruned at.

        They have no moments if that step is before the end of training.
        """
        step = self.study.prune_step
        if step is None and not self.study.config.prune.is_found_in_training:
            return self._needed(job)
        state = dataclasses.replace(self._like.state, opt_state=())
        like = self._like._replace(state=state)
        found: Trained | None
        found = self._kept.find(self.workdir.pruned_from(job.level).name, like)
        if found is None:
            raise Missing(job.until(step))
        return found

    @functools.cached_property
    def initial(self) -> TrainState:
        """The original inits, as they are kept, or drawn from the seed and kept now."""
        name, like = self.workdir.init.name, self._like.state
        state: TrainState | None = self._kept.find(name, like)
        if state is None:
            keys = self.study.member_keys("ticket", 0, "init")
            state = self.study.initial_states(keys)
            self._kept.keep(name, state)
        return state

    def trained(self, level: int) -> Trained | None:
        """The tickets at the end of a level; None if they are missing or damaged."""
        name = self.workdir.level(level).name
        found: Trained | None = self._kept.find(name, self._like)
        return found

    @functools.cached_property
    def _like(self) -> Trained:
        """The shapes of tickets."""

        def dense(key: jax.Array) -> Trained:
            state = self.study.initial_state(key)
            return Trained(state, masks.full(state.params))

        keys = self.study.member_keys("ticket", 0, "init")
        shapes: Trained = jax.eval_shape(jax.vmap(dense), keys)
        return shapes

    def keep_rewind_point(self, state: TrainState) -> None:
        """Keeps the dense nets at the rewind step."""
        self._kept.keep(self.workdir.rewind.name, state)

    def keep_pruned_from(self, level: int, trained: Trained) -> None:
        """Keeps the tickets at a step before the end that masks are pruned at."""
        state = dataclasses.replace(trained.state, opt_state=())
        name = self.workdir.pruned_from(level).name
        self._kept.keep(name, trained._replace(state=state))

    def keep_trained(self, level: int, trained: Trained) -> None:
        """Keeps the tickets at the end of a level."""
        self._kept.keep(self.workdir.level(level).name, trained)
