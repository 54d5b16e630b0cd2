"""Analysis: what the command knows of each analysis, and the study that all read."""

import argparse
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lth_jax.analysis.levels import levels_that_matter
from lth_jax.config import StudyConfig
from lth_jax.config.requirements import require
from lth_jax.errors import UserError
from lth_jax.lottery import loop
from lth_jax.lottery.arms import Start, find_arm
from lth_jax.lottery.interruption import Interruption
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.solutions import Solution, Solutions
from lth_jax.lottery.study import Study, build
from lth_jax.lottery.tickets import Found as Nets
from lth_jax.lottery.tickets import Missing, Tickets
from lth_jax.registry import UnknownName
from lth_jax.report.material import judged
from lth_jax.store import own_parts
from lth_jax.store.analyses import Found
from lth_jax.store.environment import check_same
from lth_jax.store.workdir import Workdir, read_config


class Analysis(NamedTuple):
    """An analysis that the command offers."""

    help: str  # the question that it answers
    add_flags: Callable[[argparse.ArgumentParser], None]
    # Returns what it found, and a text to print.
    run: Callable[["Subject", argparse.Namespace], tuple[Found, str]]


class Subject:
    """The study that is analysed, read from its workdir; it may still be running.

    Its data are read when they are first needed, from `raw_dir` if they have moved. An
    interruption may ask training to stop.

    Raises:
      WorkdirError: if the workdir holds no study.
    """

    def __init__(
        self,
        workdir: Workdir,
        raw_dir: str | None = None,
        interruption: Interruption | None = None,
    ):
        self.workdir = workdir
        self._interruption = interruption
        config = read_config(workdir)
        if raw_dir is not None:
            data = dataclasses.replace(config.data, raw_dir=raw_dir)
            config = dataclasses.replace(config, data=data)
        self.config: StudyConfig = config

    def levels(self, asked: Sequence[int] | None, first: int = 0) -> list[int]:
        """Returns the levels asked for, or all finished levels if `asked` is None.

        Levels are those from `first` on.

        Raises:
          UserError: if a level does not exist or is not finished; the message names it.
            Also if no level is finished.
        """
        there_are = range(first, self.config.num_levels)
        for level in asked or ():
            allowed = f"from {there_are.start} to {there_are.stop - 1}"
            require("levels", level, level in there_are, allowed)
        done = [level for level in there_are if self.workdir.level(level).exists()]
        for level in asked or ():
            if level not in done:
                raise UserError(f"levels: {level} is not finished in {self.workdir.root}")
        if not done:
            raise UserError(
                f"levels: no level from {first} on is finished in {self.workdir.root}"
            )
        return done if asked is None else sorted(set(asked))

    def that_matter(self, levels: Sequence[int], most: int) -> list[int]:
        """Returns at most `most` of these levels, as `levels_that_matter` does."""
        _, verdict = judged(self.workdir, None)
        return levels_that_matter(verdict, levels, most)

    def check_arm(self, field: str, name: str) -> None:
        """Checks that a flag names an arm with fixed masks, other than the ticket.

        A criterion is allowed only if the config has `prune.densities`.

        Raises:
          UserError: if the arm is not allowed; the message says what is.
        """
        try:
            arm = find_arm(name)
        except UnknownName as error:
            raise UserError(f"{field}: {error}") from None
        stays = arm.dynamics is None and name != "ticket"
        require(field, name, stays, "an arm with fixed masks, other than the ticket")
        may_prune = not arm.is_criterion or bool(self.config.prune.densities)
        require(field, name, may_prune, "no criterion if prune.densities is empty")

    @functools.cached_property
    def study(self) -> Study:
        """The study, with its data."""
        own_parts.check(self.workdir, self.config)
        study = build(self.config)
        check_same(self.workdir, study.data_note)
        return study

    @functools.cached_property
    def tickets(self) -> Tickets:
        """The tickets that the study found."""
        return Tickets(self.study, self.workdir)

    @functools.cached_property
    def solutions(self) -> Solutions:
        """The nets at the end of training."""
        return Solutions(self.tickets, self._interruption)

    def trained_again(self, jobs: Sequence[Job]) -> list[Solution]:
        """Returns the nets that jobs trained; jobs whose nets were not kept train again.

        Raises:
          UserError: if the nets that they start from are missing or damaged.
        """
        try:
            return self.solutions.of(jobs)
        except Missing as missing:
            raise self._lost(missing.job.level) from None

    def job(self, arm: str, level: int) -> Job:
        """Returns the job of an arm at a level; the study need not have the arm.

        Raises:
          ValueError: if the study does not have the level.
        """
        for job in loop.find_tickets(self.study):
            if job.is_ticket and job.level == level:
                return dataclasses.replace(job, arm=arm)
        raise ValueError(f"level {level}; the study has {self.config.num_levels}")

    def pruned_from(self, job: Job) -> Solution | None:
        """Returns the tickets pruned from a job's nets; None if none were, or not yet.

        Raises:
          UserError: as `trained_again`.
        """
        level = job.level + 1
        is_parent = job.is_ticket and not (self.study.is_one_shot and job.level > 0)
        is_there = level < self.config.num_levels and self.workdir.level(level).exists()
        if not (is_parent and is_there):
            return None
        return self.trained_again([self.job("ticket", level)])[0]

    def start(self, job: Job) -> Start:
        """Returns where a job's members started, axis R.

        Raises:
          UserError: if the nets that this needs are missing or damaged.
        """
        try:
            return loop.start(job, self.tickets.find(job))[0]
        except Missing as missing:
            raise self._lost(missing.job.level) from None

    @functools.cached_property
    def rewound(self) -> Nets:
        """The original inits, and the dense nets at the rewind step, axis R.

        Raises:
          UserError: if these are missing or damaged.
        """
        # A copy of the dense nets starts there.
        copy = dataclasses.replace(self.job("ticket", 0), copy=1)
        try:
            return self.tickets.find(copy)
        except Missing as missing:
            raise self._lost(missing.job.level) from None

    def _lost(self, level: int) -> UserError:
        return UserError(
            f"levels: {level} or what it started from cannot be read; delete"
            f" {self.workdir.level(level)}, and run the study's command again"
        )


def _numbers(text: str) -> list[int]:
    """Returns the numbers of a flag such as "0,3,5"."""
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        told = f"{text!r} is not allowed; must be numbers such as 0,3,5"
        raise argparse.ArgumentTypeError(told) from None


def add_levels(parser: argparse.ArgumentParser, default: str = "all") -> None:
    """Adds the flag `--levels`."""
    told = f"such as 0,3,5; 0 is the dense net; by default {default} that are finished"
    parser.add_argument("--levels", type=_numbers, help=told)
