"""Study: the net, optimizer and data that a config describes, on the device."""

import dataclasses
import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lth_jax import data, masks, models
from lth_jax.config import ConfigError, StudyConfig, prune_step, rewind_step
from lth_jax.layout import layout_of
from lth_jax.lottery.arms import Origin, Rules, Start
from lth_jax.lottery.fit import check_counts, check_draws, check_loss, check_sample
from lth_jax.lottery.loading import Loaded, Splits, load
from lth_jax.lottery.network import make_module, make_network
from lth_jax.masks import Params, Prunable
from lth_jax.models import Network
from lth_jax.pruning.criteria import Criterion, Evidence
from lth_jax.pruning.weights import Fraction
from lth_jax.training import keys, optimizers, schedules
from lth_jax.training.dynamics import Dynamics, make_dynamics
from lth_jax.training.losses import LOSSES, Loss
from lth_jax.training.optimizers import OPTIMIZERS, Rates
from lth_jax.training.schedules import SCHEDULES
from lth_jax.training.state import TrainState, initial_state


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """A study without its files: its config, net, loss, optimizer and data."""

    config: StudyConfig
    normalization: data.Normalization  # of the stored inputs
    network: Network  # takes stored inputs; it augments and normalises them itself
    loss: Loss
    tx: optax.GradientTransformation
    prunable: Prunable
    fraction: Fraction  # the share that a level prunes, by leaf for layer-wise pruning
    rewind_step: int
    prune_step: int | None  # see `config.prune_step`
    splits: Splits
    data_note: str | None  # what a reader of results must know of the data

    @functools.cached_property
    def init_members(self) -> Callable[[jax.Array], tuple[Params, Any]]:
        """The compiled function from keys to fresh params and batch statistics, axis R.

        Studies with other initializers share all other programs. This needs arms that
        draw weights only with the key that they receive.
        """
        return jax.jit(jax.vmap(self.network.init))

    def start_members(
        self, start: Callable[[Origin, Rules], Start], origin: Origin
    ) -> Start:
        """The start of all replicates, axis R, by an arm's function."""
        draws: list[bool] = []

        def look(one: Origin) -> Start:
            def init(key: jax.Array) -> Any:
                draws.append(key is one.init_key)
                return self.network.init(key)

            return start(one, self._rules(init))

        jax.eval_shape(jax.vmap(look), origin)
        fresh = self.init_members(origin.init_key) if any(draws) else None
        return self._started(start, origin, fresh)

    @functools.cached_property
    def _started(self) -> Callable[..., Start]:
        """The compiled start of all replicates; `fresh` is what `init_key` draws."""

        def started(start: Callable[..., Start], one: Origin, fresh: Any) -> Start:
            def init(key: jax.Array) -> Any:
                is_drawn = fresh is not None and key is one.init_key
                return fresh if is_drawn else self.network.init(key)

            return start(one, self._rules(init))

        return jax.jit(
            lambda start, *members: jax.vmap(functools.partial(started, start))(*members),
            static_argnums=0,
        )

    def _rules(self, init: Callable[[jax.Array], Any]) -> Rules:
        return Rules(self.tx, init, self.config.rewind.what, self.prunable)

    @functools.cached_property
    def score(self) -> Callable[[Criterion, Evidence], Params]:
        """The compiled scores of one member, from a criterion and its evidence."""
        return jax.jit(lambda by, evidence: by.scores(evidence), static_argnums=0)

    @property
    def program(self) -> Hashable:
        """A key that studies share if their members can train in one call.

        It holds all that their compiled programs and their data depend on.
        """
        plain, optimizer = StudyConfig(), self.config.optimizer
        members = "first_replicate", "num_replicates", "init"
        others = "arms", "num_levels", "compact_levels", "rewind", "verdict", "log"
        same = {name: getattr(plain, name) for name in (*members, *others)}
        prune = self.config.prune
        if prune.at != "early_bird":  # which draws masks in a program of its own
            prune = dataclasses.replace(plain.prune, exclude=prune.exclude)
        if self.rates is not None:
            decays = float(optimizer.weight_decay > 0)
            optimizer = dataclasses.replace(
                optimizer, learning_rate=1.0, weight_decay=decays
            )
        return dataclasses.replace(self.config, prune=prune, optimizer=optimizer, **same)

    @functools.cached_property
    def rates(self) -> Rates | None:
        """The rates that programs take as arguments, float32[]; None: they hold them.

        As arguments, they let studies of different rates share a program. Optimizers and
        schedules from outside the package may need Python numbers, and get them. Params
        of fewer bits need them too: a float32 array would promote their updates.
        """
        spec = self.config.optimizer
        params, _ = jax.eval_shape(self.network.init, jax.random.key(0))
        are_floats = all(x.dtype == jnp.float32 for x in jax.tree.leaves(params))
        if spec.name in OPTIMIZERS and spec.schedule in SCHEDULES and are_floats:
            return Rates(np.float32(spec.learning_rate), np.float32(spec.weight_decay))
        return None

    def tx_at(self, rates: Rates | None) -> optax.GradientTransformation:
        """The optimizer with these rates, which may be traced; None: its own rates."""
        return self.tx if rates is None else _optimizer(self.config, rates)

    @property
    def controls(self) -> tuple[str, ...]:
        """All arms of the study except the ticket."""
        return tuple(arm for arm in self.config.arms if arm != "ticket")

    @property
    def is_one_shot(self) -> bool:
        """Whether every level is pruned from the dense nets."""
        return bool(self.config.prune.densities)

    def member_keys(self, arm: str, level: int, purpose: str) -> jax.Array:
        """The keys of all replicates of an arm at a level for one purpose, key[R]."""
        seed, replicates = self.config.seed, self.config.replicates
        return jnp.stack(
            [keys.member_key(seed, r, arm, level, purpose) for r in replicates]
        )

    def initial_state(self, key: jax.Array) -> TrainState:
        """A member's original init, at step 0."""
        params, batch_stats = self.network.init(key)
        return initial_state(params, self.tx, batch_stats)

    def initial_states(self, keys: jax.Array) -> TrainState:
        """The original inits of all replicates, axis R, at step 0, from keys key[R]."""

        def state(params: Params, batch_stats: Any) -> TrainState:
            return initial_state(params, self.tx, batch_stats)

        states: TrainState = jax.jit(jax.vmap(state))(*self.init_members(keys))
        return states

    def dynamics(self, name: str) -> Dynamics:
        """The dynamics of that name, with the config's settings."""
        arguments = self.config.dynamic.arguments(self.config.num_steps)
        return make_dynamics(name, prunable=self.prunable, **arguments)


def build(config: StudyConfig, loaded: Loaded | None = None) -> Study:
    """Makes a study from a config; loads the data unless `loaded` holds them.

    Raises:
      ConfigError: if the config does not fit the data.
      DataError: if the data cannot be found or read.
    """
    loaded = loaded or load(config)
    train = loaded.train
    if config.batch_size > len(train.labels):
        raise ConfigError(
            f"batch_size: {config.batch_size} is not allowed; must be at most"
            f" {len(train.labels)}, the number of training examples"
        )
    check_sample(config, train)
    module = make_module(config, loaded.num_outputs)
    network = make_network(config, module, loaded.normalization, train)
    loss = LOSSES.find(config.loss.name)
    check_loss(config, loss, network, train)
    if config.prune.structure == "units":
        layout_of(module, "prune.structure: 'units'")
    if config.compact_levels:
        layout_of(module, "compact_levels: True")
    steps_per_epoch = len(train.labels) / config.batch_size
    prunable = masks.excluding(config.prune.exclude)
    rewound_to = rewind_step(config.rewind, steps_per_epoch, config.num_steps)
    check_draws(config, rewound_to)
    return Study(
        config=config,
        normalization=loaded.normalization,
        network=network,
        loss=loss,
        tx=_optimizer(config),
        prunable=prunable,
        fraction=_fraction(config, network, prunable),
        rewind_step=rewound_to,
        prune_step=prune_step(config.prune, rewound_to, config.num_steps),
        splits=loaded.splits,
        data_note=loaded.note,
    )


def _optimizer(
    config: StudyConfig, rates: Rates | None = None
) -> optax.GradientTransformation:
    """The optimizer at these rates, without decay if the config has none."""
    spec = config.optimizer
    own = rates or Rates(spec.learning_rate, spec.weight_decay)
    schedule = schedules.make_schedule(
        spec.schedule,
        own.learning_rate,
        num_steps=config.num_steps,
        warmup_steps=spec.warmup_steps,
        drop_steps=spec.drop_steps,
        drop_factor=spec.drop_factor,
    )
    decay = own.weight_decay if spec.weight_decay else 0.0
    return optimizers.make_optimizer(
        spec.name, schedule, momentum=spec.momentum, weight_decay=decay
    )


def _fraction(config: StudyConfig, network: Network, prunable: Prunable) -> Fraction:
    """The share that a level prunes: of each leaf by its kind, or of all if global."""
    prune = config.prune
    params, _ = jax.eval_shape(network.init, jax.random.key(0))
    paths = [path for path, _ in masks.prunable_leaves(params)]
    layers = {layer for path in paths for layer in path.split("/")[:-1]}
    for name in prune.exclude:
        if name not in layers:
            raise ConfigError(
                f"prune.exclude: {name!r} is no layer of {config.model.name}; there are"
                f" {', '.join(sorted(layers))}"
            )
    try:
        leaves = masks.prunable_leaves(params, prunable)
    except ValueError:
        raise ConfigError(
            f"prune.exclude: {prune.exclude!r} is not allowed; must leave a layer"
        ) from None

    def own(path: str, leaf: jax.Array) -> float:
        if path.startswith(f"{models.OUTPUT_LAYER}/"):
            return prune.output_fraction
        return prune.conv_fraction if leaf.ndim > 2 else prune.fraction

    fraction: Fraction = {path: own(path, leaf) for path, leaf in leaves}
    if prune.scope == "global":
        fraction = prune.fraction
    check_counts(config, leaves, fraction)
    return fraction
