"""Runner: what of a study is done, what is next.

A call whose records are there is done; any other is trained from where it was left. So
running again is resuming.
"""

import contextlib
import logging
import shutil
from collections.abc import Callable

import jax
import numpy as np

import lth_jax
from lth_jax import masks
from lth_jax.config import StudyConfig
from lth_jax.core.arms import spec_of
from lth_jax.core.tickets import Start
from lth_jax.masks import Masks, Params
from lth_jax.shrinking import CompactMembers
from lth_jax.store import histograms as weight_histograms
from lth_jax.store import records
from lth_jax.store import tickets as ticket_files
from lth_jax.store.checkpoints import Newest
from lth_jax.store.records import Curve, Run
from lth_jax.store.trackers import open_trackers
from lth_jax.store.workdir import Workdir
from lth_jax.study.compaction import compaction
from lth_jax.study.experiment import Experiment
from lth_jax.study.levels import InFlight, Member, Trainer
from lth_jax.study.lineage import Lineage
from lth_jax.study.plan import Call, Group, plan
from lth_jax.study.progress import Progress
from lth_jax.training.connections import Counts
from lth_jax.training.losses import Metrics
from lth_jax.training.segment import Curves

_log = logging.getLogger(__name__)


def is_finished(config: StudyConfig, workdir: Workdir) -> bool:
    """Whether nothing of a study is left to run."""
    calls = plan(config.num_levels, config.arms, groups_per_call=1)
    done = all(_is_done(workdir, call) for call in calls)
    return done and not workdir.all_in_flight()


def _is_done(workdir: Workdir, call: Call) -> bool:
    return all(records.path_of(workdir.records, *group).exists() for group in call)


class Runner:
    """Runs one study in one workdir."""

    def __init__(
        self,
        experiment: Experiment,
        workdir: Workdir,
        check_interrupted: Callable[[], None] = lambda: None,
    ):
        self._experiment = experiment
        self._config = experiment.config
        self._workdir = workdir
        self._check_interrupted = check_interrupted
        self._trainer = Trainer(experiment)
        self._trackers = open_trackers(self._config, workdir)
        self._lineage = Lineage(experiment, workdir, self._remake)
        self._calls = list(
            plan(self._config.num_levels, self._config.arms, self._groups_per_call())
        )

    def run(self) -> None:
        """Runs what is not done yet."""
        number = sum(map(self._num_member_steps, self._calls))
        with contextlib.closing(self._trackers), Progress(number) as progress:
            for call in self._calls:
                if _is_done(self._workdir, call):
                    progress.skip(self._num_member_steps(call))
                else:
                    self._run_call(call, progress)
        # Left by a kill in the last instant, or by other calls on another machine.
        for folder in self._workdir.all_in_flight():
            shutil.rmtree(folder)

    def _groups_per_call(self) -> int:
        return max(1, self._trainer.members_per_call() // self._config.num_replicates)

    def _members(self, call: Call) -> list[Member]:
        replicates = range(self._config.num_replicates)
        return [Member(r, group.arm, group.level) for group in call for r in replicates]

    def _num_member_steps(self, call: Call) -> int:
        members = self._members(call)
        num_steps = self._config.num_steps - self._trainer.start_step(members[0])
        return num_steps * len(members)

    def _flights(self, call: Call) -> Newest:
        return Newest(self._workdir.in_flight(*call[0], num_groups=len(call)))

    def _run_call(
        self, call: Call, progress: Progress, *, until_rewind_step: bool = False
    ) -> None:
        """Trains a call from where it was left, and writes what comes of it."""
        start = self._lineage.start(call)
        level, is_ticket = call[0].level, call[0].arm == "ticket"
        if is_ticket:
            self._write_ticket(level, start)
        frozen = self._lineage.frozen(call, start.masks)
        compact = compaction(self._experiment, call, start, frozen)
        flights = self._flights(call)
        flight = self._trainer.begin(
            self._members(call),
            start if compact is None else Start(compact.states, compact.masks),
        )
        if not until_rewind_step:
            flight = self._resumed(call, flight, flights)
        flight = self._train(
            call, flight, frozen, compact, flights, progress, until_rewind_step
        )
        if until_rewind_step:
            return
        if compact is not None:
            state = compact.expand(flight.state)
            flight = InFlight(state, start.masks, flight.curves)
        if is_ticket:
            self._lineage.keep_level(level, Start(flight.state, start.masks))
            weight_histograms.save(
                self._workdir.weight_histograms(level),
                start.state.params,
                flight.state.params,
                start.masks,
                self._experiment.prunable,
            )
        at_start = self._trainer.evaluate("test", start.state, frozen)
        at_end = self._trainer.evaluate("train", flight.state, frozen)
        self._write_records(call, flight.masks, flight.curves, at_start, at_end)
        flights.clear()
        self._check_interrupted()

    def _resumed(self, call: Call, begun: InFlight, flights: Newest) -> InFlight:
        """A call as it was left; as it begins, if that is under other masks.

        So they are where scores come out otherwise the second time, as they may on a GPU.
        """
        found = flights.newest(begun)
        if found is None:
            return begun
        flight = InFlight(*found)
        is_static = spec_of(call[0].arm).dynamics is None
        if is_static and not _equal(flight.masks, begun.masks):
            _log.warning(
                "%s, level %d: masks came out otherwise than before the interruption;"
                " training from the start of the level",
                *call[0],
            )
            flights.clear()
            return begun
        return flight

    def _train(
        self,
        call: Call,
        flight: InFlight,
        frozen: Params | None,
        compact: CompactMembers | None,
        flights: Newest,
        progress: Progress,
        until_rewind_step: bool,
    ) -> InFlight:
        """Trains a call to its end, saving at every segment boundary before it."""
        members, reached = self._members(call), int(flight.state.step[0])
        start_step = self._trainer.start_step(members[0])
        progress.skip((reached - start_step) * len(members))
        eval_steps = self._trainer.eval_steps(members[0])
        goal = self._goal(call)
        segments = self._trainer.train(members, flight, goal, frozen, compact)
        for step, state_then in segments:
            flight = state_then
            progress.advance((step - reached) * len(members), call)
            self._track(call, eval_steps, flight.curves)
            reached = step
            if call[0].level == 0 and step == self._experiment.rewind_step:
                self._lineage.keep_rewind_point(flight.state)
                if until_rewind_step:
                    break
            if step < self._config.num_steps and not until_rewind_step:
                flights.save(step, flight)
                self._check_interrupted()
        return flight

    def _track(self, call: Call, steps: list[int], curves: Curves) -> None:
        by_tag = {"train/batch_loss": np.asarray(curves.batch_loss)}
        for split in ("validation", "test"):
            for metric, values in getattr(curves, split)._asdict().items():
                by_tag[f"{split}/{metric}"] = np.asarray(values)
        number = self._config.num_replicates
        for g, group in enumerate(call):
            own = {t: x[g * number : (g + 1) * number] for t, x in by_tag.items()}
            self._trackers.write(*group, steps, own)

    def _goal(self, call: Call) -> Counts | None:
        """The counts that a call's masks come to, where they change."""
        is_static = spec_of(call[0].arm).dynamics is None
        return None if is_static else self._lineage.goal(call)

    def _remake(self, level: int, *, until_rewind_step: bool = False) -> None:
        """Trains the tickets of a level again, whose checkpoint was damaged."""
        call = (Group("ticket", level),)
        with Progress(self._num_member_steps(call)) as progress:
            self._run_call(call, progress, until_rewind_step=until_rewind_step)

    def _write_ticket(self, level: int, start: Start) -> None:
        provenance = {
            "level": level,
            "rewind_step": self._experiment.rewind_step,
            "num_replicates": self._config.num_replicates,
            "seed": self._config.seed,
            "lth_jax": lth_jax.__version__,
            "input_shape": self._experiment.splits.train.inputs.shape[1:],
            "config": self._workdir.config.read_text(),
        }
        path = self._workdir.ticket(level)
        ticket_files.save(path, start.state.params, start.masks, provenance)

    def _write_records(
        self,
        call: Call,
        call_masks: Masks,
        curves: Curves,
        test_at_start: Metrics,
        train_at_end: Metrics,
    ) -> None:
        members = self._members(call)
        starts_at = self._trainer.start_step(members[0])
        counted_at = self._trainer.final_counts_step(members[0])
        steps = np.array(self._trainer.eval_steps(members[0]))
        runs = []
        for m, member in enumerate(members):
            own_masks, own_curves, own_train = jax.tree.map(
                lambda x, m=m: x[m], (call_masks, curves, train_at_end)
            )
            count = masks.total_count(own_masks)
            density = count.kept / count.total
            found = _curves(steps, own_curves, own_train)
            found["test", "start_accuracy"] = Curve(
                np.array([starts_at]), np.atleast_1d(test_at_start.accuracy[m])
            )
            found["mask", "weights_left"] = Curve(
                np.array([counted_at]), np.array([count.kept])
            )
            runs.append(Run(member.arm, member.replicate, member.level, density, found))
        for group in call:
            mine = [run for run in runs if (run.arm, run.level) == group]
            records.write(records.path_of(self._workdir.records, *group), mine)


def _equal(a: Masks, b: Masks) -> bool:
    return all(
        np.array_equal(x, y)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def _curves(
    steps: np.ndarray, curves: Curves, train: Metrics
) -> dict[tuple[str, str], Curve]:
    """One member's curves, by split and metric."""
    found = {("train", "batch_loss"): Curve(steps, np.asarray(curves.batch_loss))}
    for split, metrics, at in (
        ("validation", curves.validation, steps),
        ("test", curves.test, steps),
        ("train", train, steps[-1:]),
    ):
        for metric, values in metrics._asdict().items():
            found[split, metric] = Curve(at, np.atleast_1d(np.asarray(values)))
    return found
