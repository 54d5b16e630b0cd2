"""Checks: which values the config's fields may have."""

import itertools
from collections.abc import Collection
from typing import Any

from lth_jax.config.fields import (
    OptimizerConfig,
    PruneConfig,
    RewindConfig,
    StudyConfig,
)
from lth_jax.core.optimizers import OPTIMIZERS, SCHEDULES
from lth_jax.core.tickets import ARMS
from lth_jax.criteria import CRITERIA
from lth_jax.errors import UserError
from lth_jax.models import INITIALIZERS, MODELS


class ConfigError(UserError):
    """A field's value that is not allowed."""


def check(study: StudyConfig) -> None:
    """Checks every field.

    Raises:
      ConfigError: naming the field, its value, and what is allowed.
    """
    _check_budget(study)
    _check_members(study)
    _at_least("data.num_validation", study.data.num_validation, 1)
    _one_of("model.name", study.model.name, MODELS)
    for size in study.model.hidden_sizes:
        _at_least("model.hidden_sizes", size, 1)
    _one_of("init.name", study.init.name, INITIALIZERS)
    _check_optimizer(study.optimizer)
    _check_prune(study.prune, study.num_levels)
    _check_rewind(study.rewind, study.num_steps)


def _check_budget(study: StudyConfig) -> None:
    _at_least("num_levels", study.num_levels, 1)
    _at_least("num_steps", study.num_steps, 1)
    _at_least("batch_size", study.batch_size, 1)
    every = study.eval_every_steps
    _require(
        "eval_every_steps",
        every,
        1 <= every <= study.num_steps,
        f"from 1 to num_steps ({study.num_steps})",
    )
    checkpoint_every = study.checkpoint_every_steps
    _require(
        "checkpoint_every_steps",
        checkpoint_every,
        checkpoint_every >= 1 and checkpoint_every % every == 0,
        f"a positive multiple of eval_every_steps ({every})",
    )


def _check_members(study: StudyConfig) -> None:
    _require("seed", study.seed, 0 <= study.seed < 2**32, "from 0 to below 2**32")
    _at_least("num_replicates", study.num_replicates, 1)
    arms = study.arms
    for arm in arms:
        _one_of("arms", arm, ARMS)
    _require("arms", arms, "ticket" in arms, "a tuple with 'ticket' in it")
    _require("arms", arms, len(set(arms)) == len(arms), "free of repetitions")
    _one_of("member_axis", study.member_axis, ("auto", "vmap", "map"))
    if study.members_per_call is not None:
        _at_least("members_per_call", study.members_per_call, 1)


def _check_optimizer(optimizer: OptimizerConfig) -> None:
    name, rate, decay = optimizer.name, optimizer.learning_rate, optimizer.weight_decay
    _one_of("optimizer.name", name, OPTIMIZERS)
    _one_of("optimizer.schedule", optimizer.schedule, SCHEDULES)
    _require("optimizer.learning_rate", rate, 0 < rate < float("inf"), "above 0")
    momentum = optimizer.momentum
    _require("optimizer.momentum", momentum, 0 <= momentum < 1, "inside [0, 1)")
    _at_least("optimizer.weight_decay", decay, 0)
    may_decay = not (decay and name == "adam")
    _require("optimizer.weight_decay", decay, may_decay, "0 for 'adam'; use 'adamw'")
    _at_least("optimizer.warmup_steps", optimizer.warmup_steps, 0)
    drops = optimizer.drop_steps
    for step in drops:
        _at_least("optimizer.drop_steps", step, 1)
    given = bool(drops) == (optimizer.schedule == "step_drops")
    _require(
        "optimizer.drop_steps", drops, given, "given for 'step_drops', and for it alone"
    )
    distinct = len(set(drops)) == len(drops)
    _require("optimizer.drop_steps", drops, distinct, "free of repetitions")
    _require(
        "optimizer.drop_factor",
        optimizer.drop_factor,
        optimizer.drop_factor > 0,
        "above 0",
    )


def _check_prune(prune: PruneConfig, num_levels: int) -> None:
    _one_of("prune.criterion", prune.criterion, CRITERIA)
    _one_of("prune.scope", prune.scope, ("layerwise", "global"))
    _inside_unit("prune.fraction", prune.fraction)
    _inside_unit("prune.output_fraction", prune.output_fraction)
    for density in prune.densities:
        _inside_unit("prune.densities", density)
    decreasing = all(a > b for a, b in itertools.pairwise(prune.densities))
    _require("prune.densities", prune.densities, decreasing, "decreasing")
    _require(
        "prune.densities",
        prune.densities,
        len(prune.densities) in (0, num_levels - 1),
        f"empty, or one for each of the {num_levels - 1} levels after the first"
        " (num_levels - 1)",
    )


def _check_rewind(rewind: RewindConfig, num_steps: int) -> None:
    _require(
        "rewind.step",
        rewind.step,
        0 <= rewind.step < num_steps,
        f"from 0 to below num_steps ({num_steps})",
    )


def _require(field: str, value: Any, ok: bool, allowed: str) -> None:
    if not ok:
        raise ConfigError(f"{field}: {value!r} is not allowed; must be {allowed}")


def _at_least(field: str, value: float, least: float) -> None:
    _require(field, value, value >= least, f"at least {least}")


def _one_of(field: str, value: str, allowed: Collection[str]) -> None:
    _require(field, value, value in allowed, f"one of {', '.join(allowed)}")


def _inside_unit(field: str, value: float) -> None:
    _require(field, value, 0 < value < 1, "inside (0, 1)")
