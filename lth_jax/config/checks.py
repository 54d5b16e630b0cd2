"""Checks: which values the config's fields may have."""

import itertools
from collections.abc import Collection
from typing import Any

from lth_jax.config.fields import (
    ModelConfig,
    OptimizerConfig,
    PruneConfig,
    RewindConfig,
    StudyConfig,
    VerdictConfig,
)
from lth_jax.core.arms import ARMS, is_criterion, spec_of
from lth_jax.core.dynamics import make_dynamics
from lth_jax.core.layer_densities import LAYER_DENSITIES
from lth_jax.core.optimizers import OPTIMIZERS, SCHEDULES
from lth_jax.core.rewinding import REWIND_CHOICES, REWINDS
from lth_jax.criteria import CRITERIA
from lth_jax.data.augment import AUGMENTATIONS
from lth_jax.errors import UserError
from lth_jax.models import INITIALIZERS, MODELS, model_fields

_ARMS = (*ARMS, *CRITERIA)
STRUCTURES = ("weights", "units", "blocks", "n_of_m")
MEASURES = ("accuracy", "final_accuracy", "early_stop_step", "speedup")


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
    _one_of("data.augment", study.data.augment, AUGMENTATIONS)
    _check_model(study.model)
    _one_of("init.name", study.init.name, INITIALIZERS)
    _check_optimizer(study.optimizer, study.num_steps)
    _check_prune(study.prune, study.num_levels)
    _check_rewind(study)
    _check_dynamic(study)
    _check_verdict(study.verdict)


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
        _one_of("arms", arm, _ARMS)
    _require("arms", arms, "ticket" in arms, "a tuple with 'ticket' in it")
    distinct = len({study.prune.criterion, *arms}) == len(arms) + 1
    _require("arms", arms, distinct, "free of repetitions, and of prune.criterion")
    one_shot = bool(study.prune.densities) or not any(map(is_criterion, arms))
    _require("arms", arms, one_shot, "without criteria where prune.densities is empty")
    _one_of("member_axis", study.member_axis, ("auto", "vmap", "map"))
    _one_of("compute_dtype", study.compute_dtype, ("float32", "bfloat16"))
    if study.members_per_call is not None:
        _at_least("members_per_call", study.members_per_call, 1)


def _check_model(model: ModelConfig) -> None:
    _one_of("model.name", model.name, MODELS)
    takes = model_fields(model.name)
    for size in model.hidden_sizes:
        _at_least("model.hidden_sizes", size, 1)
    _require("model.width", model.width, 0 < model.width < float("inf"), "above 0")
    rate = model.dropout_rate
    _require("model.dropout_rate", rate, 0 <= rate < 1, "inside [0, 1)")
    for name in ("hidden_sizes", "dropout_rate"):
        value = getattr(model, name)
        ok = not value or name in takes
        _require(f"model.{name}", value, ok, f"left out for {model.name!r}")


def _check_optimizer(optimizer: OptimizerConfig, num_steps: int) -> None:
    name, rate, decay = optimizer.name, optimizer.learning_rate, optimizer.weight_decay
    _one_of("optimizer.name", name, OPTIMIZERS)
    _one_of("optimizer.schedule", optimizer.schedule, SCHEDULES)
    _require("optimizer.learning_rate", rate, 0 < rate < float("inf"), "above 0")
    momentum = optimizer.momentum
    _require("optimizer.momentum", momentum, 0 <= momentum < 1, "inside [0, 1)")
    _at_least("optimizer.weight_decay", decay, 0)
    may_decay = not (decay and name == "adam")
    _require("optimizer.weight_decay", decay, may_decay, "0 for 'adam'; use 'adamw'")
    within = f"to below num_steps ({num_steps})"
    warmup = optimizer.warmup_steps
    _require("optimizer.warmup_steps", warmup, 0 <= warmup < num_steps, f"0 {within}")
    drops = optimizer.drop_steps
    for step in drops:
        _require("optimizer.drop_steps", step, 1 <= step < num_steps, f"from 1 {within}")
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
    _check_structure(prune, num_levels)
    criterion = CRITERIA[prune.criterion]
    scope = criterion.scope or prune.scope
    _require(
        "prune.criterion",
        prune.criterion,
        not criterion.one_shot or bool(prune.densities),
        "given with prune.densities, since it looks at the net before training",
    )
    _at_least("prune.examples_per_class", prune.examples_per_class, 1)
    _at_least("prune.mask_steps", prune.mask_steps, 1)
    _one_of("prune.scope", prune.scope, ("layerwise", "global", *LAYER_DENSITIES))
    shared = scope in LAYER_DENSITIES
    _require(
        "prune.criterion" if criterion.scope else "prune.scope",
        prune.criterion if criterion.scope else prune.scope,
        not shared or bool(prune.densities),
        "given with prune.densities, which it shares out among the layers",
    )
    _at_least("prune.floor", prune.floor, 0)
    _inside_unit("prune.fraction", prune.fraction)
    _inside_unit("prune.conv_fraction", prune.conv_fraction)
    _inside_unit("prune.output_fraction", prune.output_fraction)
    for density in prune.densities:
        _inside_unit("prune.densities", density)
    counted = not (prune.densities and prune.exclude)
    _require("prune.densities", prune.densities, counted, "empty with prune.exclude")
    decreasing = all(a > b for a, b in itertools.pairwise(prune.densities))
    _require("prune.densities", prune.densities, decreasing, "decreasing")
    _require(
        "prune.densities",
        prune.densities,
        len(prune.densities) in (0, num_levels - 1),
        f"empty, or one for each of the {num_levels - 1} levels after the first"
        " (num_levels - 1)",
    )


def _check_structure(prune: PruneConfig, num_levels: int) -> None:
    structure = prune.structure
    _one_of("prune.structure", structure, STRUCTURES)
    sized = (prune.block_size is not None) == (structure == "blocks")
    _require(
        "prune.block_size",
        prune.block_size,
        sized,
        "given for 'blocks', and for it alone",
    )
    if prune.block_size is not None:
        _at_least("prune.block_size", prune.block_size, 1)
    _check_n_of_m(prune, num_levels)
    if structure == "weights":
        return
    beside = f"with prune.structure={structure!r}"
    looks = CRITERIA[prune.criterion].looks
    trained = f"one that looks at the trained net {beside}"
    _require("prune.criterion", prune.criterion, looks != "init", trained)
    empty = f"empty {beside}"
    _require("prune.densities", prune.densities, not prune.densities, empty)
    _require("prune.floor", prune.floor, prune.floor == 1, f"1 {beside}")
    if structure == "units":
        _require("prune.exclude", prune.exclude, not prune.exclude, empty)
    scopes = ("layerwise",) if structure == "n_of_m" else ("layerwise", "global")
    allowed = f"{' or '.join(map(repr, scopes))} {beside}"
    _require("prune.scope", prune.scope, prune.scope in scopes, allowed)


def _check_n_of_m(prune: PruneConfig, num_levels: int) -> None:
    field, given = "prune.n_of_m", prune.n_of_m
    number = num_levels - 1 if prune.structure == "n_of_m" else 0
    _require(
        field,
        given,
        len(given) == number,
        f"one for each of the {num_levels - 1} levels after the first for 'n_of_m', and"
        " empty without it",
    )
    shares = []
    for text in given:
        numbers = [int(part) for part in text.split(":") if part.isdecimal()]
        fits = len(numbers) == text.count(":") + 1 == 2 and 1 <= numbers[0] < numbers[1]
        _require(field, text, fits, "n:m with 1 <= n < m, such as '2:4'")
        shares.append(numbers[0] / numbers[1])
    decreasing = all(a > b for a, b in itertools.pairwise(shares))
    _require(field, given, decreasing, "decreasing")


def _check_rewind(study: StudyConfig) -> None:
    rewind = study.rewind
    _one_of("rewind.preset", rewind.preset, REWINDS)
    for name, allowed in REWIND_CHOICES.items():
        value = getattr(rewind, name)
        if value is not None:
            _one_of(f"rewind.{name}", value, allowed)
    if rewind.step.endswith("ep"):  # how long an epoch is, the data tell
        _in_steps(rewind, 1.0)
    else:
        rewind_step(rewind, 1.0, study.num_steps)
    what, schedule = rewind.what, study.optimizer.schedule
    _require(
        "optimizer.schedule",
        schedule,
        not (what.schedule == "constant" and schedule == "cosine"),
        "another where levels go on at its last rate, which is 0",
    )
    repeated = "continue" in study.arms and what.params == "keep"
    _require(
        "arms", study.arms, not repeated, "without 'continue' where the ticket does so"
    )


def _in_steps(rewind: RewindConfig, steps_per_epoch: float) -> int:
    try:
        return rewind.num_steps(steps_per_epoch)
    except ValueError as error:
        raise ConfigError(f"rewind.{error}") from None


def rewind_step(rewind: RewindConfig, steps_per_epoch: float, num_steps: int) -> int:
    """The rewind step k, in steps.

    Raises:
      ConfigError: if it does not fit the preset or the budget.
    """
    step = _in_steps(rewind, steps_per_epoch)
    given = rewind.step if rewind.step == str(step) else f"{rewind.step} (step {step})"
    allowed = f"from 0 to below num_steps ({num_steps})"
    _require("rewind.step", given, 0 <= step < num_steps, allowed)
    if rewind.preset == "rewind":
        _require("rewind.step", given, step == 0, "0 for 'rewind'; see rewind.preset")
    if rewind.preset == "late_rewind":
        _require("rewind.step", given, step > 0, "above 0 for 'late_rewind'")
    return step


def _check_dynamic(study: StudyConfig) -> None:
    dynamic, eval_every = study.dynamic, study.eval_every_steps
    begin, end = dynamic.begin_fraction, dynamic.end_fraction
    every = dynamic.update_every_steps
    _inside_unit("dynamic.drop_fraction", dynamic.drop_fraction)
    _require("dynamic.begin_fraction", begin, 0 <= begin < 1, "inside [0, 1)")
    after = f"inside (begin_fraction, 1), which is above {begin}"
    _require("dynamic.end_fraction", end, begin < end < 1, after)
    _at_least("dynamic.update_every_steps", every, 1)
    _one_of("dynamic.densities", dynamic.densities, ("ticket", *LAYER_DENSITIES))
    for arm in study.arms:
        name = spec_of(arm).dynamics
        if name is None:
            continue
        # Updates are due where a block of steps begins; evaluations cut blocks short.
        fits = every % eval_every == 0 or eval_every % every == 0
        allowed = f"a multiple or a divisor of eval_every_steps ({eval_every})"
        _require("dynamic.update_every_steps", every, fits, allowed)
        try:
            make_dynamics(name, **dynamic.arguments(study.num_steps))
        except ValueError as error:
            raise ConfigError(f"dynamic.{error}") from None


def _check_verdict(verdict: VerdictConfig) -> None:
    margin = verdict.accuracy_margin
    _require("verdict.accuracy_margin", margin, 0 <= margin < 1, "inside [0, 1)")
    for i, claim in enumerate(verdict.claims):
        name = f"verdict.claims[{i}]"
        _require(f"{name}.density", claim.density, 0 < claim.density <= 1, "in (0, 1]")
        _one_of(f"{name}.measure", claim.measure, MEASURES)
        _one_of(f"{name}.arm", claim.arm, _ARMS)
        _one_of(f"{name}.reference", claim.reference, ("dense", "none", *_ARMS))
        compared = claim.measure != "speedup" or claim.reference != "none"
        _require(f"{name}.reference", claim.reference, compared, "given for 'speedup'")
        bounds = claim.low, claim.high
        low, high = bounds
        one_given = low is not None or high is not None
        ordered = low is None or high is None or low < high
        _require(
            f"{name}.low, high", bounds, one_given and ordered, "one or both, in order"
        )
        other = claim.arm != claim.reference
        _require(f"{name}.reference", claim.reference, other, "another than the arm")


def _require(field: str, value: Any, ok: bool, allowed: str) -> None:
    if not ok:
        raise ConfigError(f"{field}: {value!r} is not allowed; must be {allowed}")


def _at_least(field: str, value: float, least: float) -> None:
    _require(field, value, value >= least, f"at least {least}")


def _one_of(field: str, value: str, allowed: Collection[str]) -> None:
    _require(field, value, value in allowed, f"one of {', '.join(allowed)}")


def _inside_unit(field: str, value: float) -> None:
    _require(field, value, 0 < value < 1, "inside (0, 1)")
