"""Runner: what of a study is done, what is next.

Every helper first asks whether its output exists, so that running again is resuming.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lth_jax
from lth_jax.config import StudyConfig
from lth_jax.core import keys, masks, pruning, tickets
from lth_jax.core.tickets import Start
from lth_jax.core.training import Curves, Metrics, TrainState
from lth_jax.criteria import CRITERIA, Evidence
from lth_jax.study import checkpoint, records, ticket_files
from lth_jax.study.checkpoint import Newest, load_or_none
from lth_jax.study.experiment import Experiment
from lth_jax.study.levels import InFlight, Member, Trainer
from lth_jax.study.plan import Call, Group, plan
from lth_jax.study.progress import Progress
from lth_jax.study.records import Curve, Run
from lth_jax.study.workdir import Workdir

_MEMBERS_PER_CALL = 256  # off CPU, where the config says nothing


def is_finished(config: StudyConfig, workdir: Workdir) -> bool:
    """Whether nothing of a study is left to run."""
    calls = plan(config.num_levels, config.arms, groups_per_call=1)
    return all(_is_done(workdir, group) for call in calls for group in call)


def _is_done(workdir: Workdir, group: Group) -> bool:
    return records.path_of(workdir.records, *group).exists()


class Runner:
    """Runs one study in one workdir."""

    def __init__(
        self,
        experiment: Experiment,
        workdir: Workdir,
        check_interrupted: Callable[[], None] = lambda: None,
    ):
        config = experiment.config
        self._experiment = experiment
        self._config = config
        self._workdir = workdir
        self._check_interrupted = check_interrupted
        self._trainer = Trainer(experiment)
        self._replicates = range(config.num_replicates)
        self._trained: dict[int, Start] = {}  # the newest levels, to spare the disk
        self._starters: dict[str, Any] = {}
        members = config.members_per_call
        if members is None:
            on_cpu = jax.default_backend() == "cpu"
            members = config.num_replicates if on_cpu else _MEMBERS_PER_CALL
        groups_per_call = max(1, members // config.num_replicates)
        self._calls = list(plan(config.num_levels, config.arms, groups_per_call))

    def run(self) -> None:
        """Runs what is not done yet."""
        total = sum(self._num_member_steps(call) for call in self._calls)
        with Progress(total) as progress:
            for number, call in enumerate(self._calls):
                if all(_is_done(self._workdir, group) for group in call):
                    progress.advance(self._num_member_steps(call))
                else:
                    self._run_call(number, call, progress)

    def _num_member_steps(self, call: Call) -> int:
        start_step = self._start_step(call)
        num_members = len(call) * self._config.num_replicates
        return (self._config.num_steps - start_step) * num_members

    def _start_step(self, call: Call) -> int:
        return 0 if call[0].level == 0 else self._config.rewind.step

    # Training a call.

    def _run_call(self, number: int, call: Call, progress: Progress) -> None:
        """Trains a call, from where it was left, and writes what comes of it."""
        members = self._members(call)
        start, start_step = self._start(call), self._start_step(call)
        is_ticket = call[0].arm == "ticket"
        if is_ticket:
            self._write_ticket(call[0].level, start)
        flights = Newest(self._workdir.in_flight(number))
        flight = self._trainer.begin(members, start, start_step)
        reached = start_step
        found = flights.newest(flight)
        if found is not None:
            flight = InFlight(*found)
            reached = int(flight.state.step[0])
            progress.advance((reached - start_step) * len(members))
        for step, flight in self._trainer.train(
            members, start.masks, flight, start_step
        ):
            progress.advance((step - reached) * len(members), call)
            reached = step
            if call[0].level == 0 and step == self._config.rewind.step:
                checkpoint.save(self._workdir.rewind, flight.state)
            if step < self._config.num_steps:
                flights.save(step, flight)
                self._check_interrupted()
        train_metrics = self._trainer.evaluate_train(flight.state)
        if is_ticket:
            self._keep_level(call[0].level, Start(flight.state, start.masks))
        self._write_records(call, start, flight.curves, train_metrics)
        flights.clear()
        self._check_interrupted()

    def _members(self, call: Call) -> list[Member]:
        return [Member(r, g.arm, g.level) for g in call for r in self._replicates]

    def _write_records(
        self, call: Call, start: Start, curves: Curves, train: Metrics
    ) -> None:
        steps = np.array(self._trainer.eval_steps(self._start_step(call)))
        last = steps[-1:]
        runs = []
        for m, member in enumerate(self._members(call)):
            member_masks = jax.tree.map(lambda x, m=m: x[m], start.masks)
            count = masks.total_count(member_masks)
            run_curves = {
                ("mask", "weights_left"): Curve(
                    np.array([self._start_step(call)]), np.array([count.kept])
                ),
                ("train", "batch_loss"): Curve(steps, curves.batch_loss[m]),
                ("train", "loss"): Curve(last, train.loss[m : m + 1]),
                ("train", "accuracy"): Curve(last, train.accuracy[m : m + 1]),
            }
            for split in ("validation", "test"):
                metrics: Metrics = getattr(curves, split)
                for metric, values in metrics._asdict().items():
                    run_curves[split, metric] = Curve(steps, values[m])
            density = count.kept / count.total
            runs.append(
                Run(member.arm, member.replicate, member.level, density, run_curves)
            )
        for group in call:
            mine = [r for r in runs if (r.arm, r.level) == group]
            records.write(records.path_of(self._workdir.records, *group), mine)

    def _write_ticket(self, level: int, start: Start) -> None:
        provenance = {
            "level": level,
            "rewind_step": self._config.rewind.step,
            "num_replicates": self._config.num_replicates,
            "seed": self._config.seed,
            "lth_jax": lth_jax.__version__,
            "config": self._workdir.config.read_text(),
        }
        path = self._workdir.ticket(level)
        ticket_files.save(path, start.state.params, start.masks, provenance)

    # Where a call starts.

    def _start(self, call: Call) -> Start:
        """Where all members of a call start."""
        starts = [self._start_group(group) for group in call]
        return jax.tree.map(lambda *parts: jnp.concatenate(parts), *starts)

    def _start_group(self, group: Group) -> Start:
        if group.level == 0:
            state = self._init()
            return Start(state, self._masks(0))
        trained = None
        if self._needs_trained(group.arm):
            trained = self._level(group.level - 1).state
        member = functools.partial(self._keys, group.arm, group.level)
        starter = self._starters.setdefault(
            group.arm, jax.jit(jax.vmap(functools.partial(self._start_member, group.arm)))
        )
        start: Start = starter(
            self._point(),
            self._masks(group.level),
            member("init"),
            member("masks"),
            trained,
        )
        return start

    def _start_member(
        self,
        arm: str,
        point: TrainState,
        member_masks: masks.Masks,
        init_key: jax.Array,
        mask_key: jax.Array,
        trained: TrainState | None,
    ) -> Start:
        return tickets.start(
            arm,
            point,
            member_masks,
            self._experiment.tx,
            init_key=init_key,
            mask_key=mask_key,
            init=self._experiment.network.init,
            trained=trained,
            what=self._config.rewind,
        )

    def _needs_trained(self, arm: str) -> bool:
        kept = (self._config.rewind.params, self._config.rewind.batch_stats)
        return tickets.ARMS[arm].weights == "trained" or "keep" in kept

    def _keys(self, arm: str, level: int, purpose: str) -> jax.Array:
        return jnp.stack(
            [
                keys.member_key(self._config.seed, r, arm, level, purpose)
                for r in self._replicates
            ]
        )

    def _derive_init(self) -> TrainState:
        """The original inits, all replicates, from the seed."""

        def init(key: jax.Array) -> TrainState:
            params, batch_stats = self._experiment.network.init(key)
            return tickets.initial_state(params, self._experiment.tx, batch_stats)

        state: TrainState = jax.jit(jax.vmap(init))(self._keys("ticket", 0, "init"))
        return state

    @functools.cache  # noqa: B019 - a runner lives as long as its study
    def _init(self) -> TrainState:
        """The original inits: as saved, or derived and saved."""
        path = self._workdir.init
        like = jax.eval_shape(self._derive_init)
        state: TrainState | None = load_or_none(path, like)
        if state is None:
            state = self._derive_init()
            checkpoint.save(path, state)
        return state

    @functools.cache  # noqa: B019
    def _point(self) -> TrainState:
        """All replicates at the rewind point, step k of the dense nets' training."""
        k = self._config.rewind.step
        if k == 0:
            return self._init()
        path = self._workdir.rewind
        state: TrainState | None = load_or_none(path, self._init())
        if state is None:  # train the dense nets again, as far as step k
            members = self._members((Group("ticket", 0),))
            start = Start(self._init(), self._masks(0))
            flight = self._trainer.begin(members, start, 0)
            for step, flight in self._trainer.train(members, start.masks, flight, 0):
                if step == k:
                    break
            state = flight.state
            checkpoint.save(path, state)
        return state

    # What a level leaves to the next.

    def _level(self, level: int) -> Start:
        """The tickets at the end of a level: trained states, and masks."""
        if level not in self._trained:
            like = Start(self._init(), self._masks(0))
            found = load_or_none(self._workdir.level(level), like)
            if found is None:  # damaged, since its records are there
                call = (Group("ticket", level),)
                with Progress(self._num_member_steps(call)) as progress:
                    self._run_call(self._calls.index(call), call, progress)
            else:
                self._remember(level, Start(*found))
        return self._trained[level]

    def _keep_level(self, level: int, trained: Start) -> None:
        checkpoint.save(self._workdir.level(level), trained)
        self._remember(level, trained)

    def _remember(self, level: int, trained: Start) -> None:
        self._trained[level] = trained
        for old in sorted(self._trained)[:-2]:
            del self._trained[old]

    def _masks(self, level: int) -> masks.Masks:
        """The tickets' masks of all replicates at a level."""
        if level == 0:
            return masks.full(self._init().params)
        if level in self._trained:
            return self._trained[level].masks
        densities = self._config.prune.densities
        parent = self._level(0 if densities else level - 1)
        pruned = [
            self._prune(level, r, jax.tree.map(lambda x, r=r: x[r], parent))
            for r in self._replicates
        ]
        return jax.tree.map(lambda *members: jnp.stack(members), *pruned)

    def _prune(self, level: int, replicate: int, parent: Start) -> masks.Masks:
        """The masks of one replicate at a level, from the level it is pruned from."""
        config = self._config
        evidence = Evidence(
            params=parent.state.params,
            init_params=jax.tree.map(lambda x: x[replicate], self._init().params),
            masks=parent.masks,
            key=keys.member_key(config.seed, replicate, "ticket", level, "criterion"),
        )
        scores = CRITERIA[config.prune.criterion](evidence)
        scope = config.prune.scope
        if config.prune.densities:
            density = config.prune.densities[level - 1]
            return pruning.prune_to_density(scores, parent.masks, density, scope=scope)
        fraction = self._experiment.fraction
        return pruning.prune(scores, parent.masks, fraction, scope=scope)
