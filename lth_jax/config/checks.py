"""Checks: which values the config's fields may have."""

from lth_jax.config.fields import (
    ModelConfig,
    OptimizerConfig,
    RewindConfig,
    StudyConfig,
    VerdictConfig,
)
from lth_jax.config.prune_checks import check_prune
from lth_jax.config.requirements import (
    ConfigError,
    at_least,
    inside_unit,
    one_of,
    require,
)
from lth_jax.core.arms import ARMS, is_criterion, spec_of
from lth_jax.data.augment import AUGMENTATIONS
from lth_jax.models import INITIALIZERS, MODELS, model_fields
from lth_jax.pruning.criteria import CRITERIA
from lth_jax.pruning.densities import LAYER_DENSITIES
from lth_jax.training.dynamics import make_dynamics
from lth_jax.training.optimizers import OPTIMIZERS, SCHEDULES
from lth_jax.training.rewinding import REWIND_CHOICES, REWINDS

_ARMS = (*ARMS, *CRITERIA)
MEASURES = ("accuracy", "final_accuracy", "early_stop_step", "speedup")


def check(study: StudyConfig) -> None:
    """Checks every field.

    Raises:
      ConfigError: naming the field, its value, and what is allowed.
    """
    _check_budget(study)
    _check_members(study)
    at_least("data.num_validation", study.data.num_validation, 1)
    one_of("data.augment", study.data.augment, AUGMENTATIONS)
    _check_model(study.model)
    one_of("init.name", study.init.name, INITIALIZERS)
    _check_optimizer(study.optimizer, study.num_steps)
    check_prune(study.prune, study.num_levels)
    _check_rewind(study)
    _check_dynamic(study)
    _check_verdict(study.verdict)


def _check_budget(study: StudyConfig) -> None:
    at_least("num_levels", study.num_levels, 1)
    at_least("num_steps", study.num_steps, 1)
    at_least("batch_size", study.batch_size, 1)
    every = study.eval_every_steps
    require(
        "eval_every_steps",
        every,
        1 <= every <= study.num_steps,
        f"from 1 to num_steps ({study.num_steps})",
    )
    checkpoint_every = study.checkpoint_every_steps
    require(
        "checkpoint_every_steps",
        checkpoint_every,
        checkpoint_every >= 1 and checkpoint_every % every == 0,
        f"a positive multiple of eval_every_steps ({every})",
    )


def _check_members(study: StudyConfig) -> None:
    require("seed", study.seed, 0 <= study.seed < 2**32, "from 0 to below 2**32")
    at_least("num_replicates", study.num_replicates, 1)
    arms = study.arms
    for arm in arms:
        one_of("arms", arm, _ARMS)
    require("arms", arms, "ticket" in arms, "a tuple with 'ticket' in it")
    distinct = len({study.prune.criterion, *arms}) == len(arms) + 1
    require("arms", arms, distinct, "free of repetitions, and of prune.criterion")
    one_shot = bool(study.prune.densities) or not any(map(is_criterion, arms))
    require("arms", arms, one_shot, "without criteria where prune.densities is empty")
    one_of("member_axis", study.member_axis, ("auto", "vmap", "map"))
    one_of("compute_dtype", study.compute_dtype, ("float32", "bfloat16"))
    if study.members_per_call is not None:
        at_least("members_per_call", study.members_per_call, 1)


def _check_model(model: ModelConfig) -> None:
    one_of("model.name", model.name, MODELS)
    takes = model_fields(model.name)
    for size in model.hidden_sizes:
        at_least("model.hidden_sizes", size, 1)
    require("model.width", model.width, 0 < model.width < float("inf"), "above 0")
    rate = model.dropout_rate
    require("model.dropout_rate", rate, 0 <= rate < 1, "inside [0, 1)")
    for name in ("hidden_sizes", "dropout_rate"):
        value = getattr(model, name)
        ok = not value or name in takes
        require(f"model.{name}", value, ok, f"left out for {model.name!r}")


def _check_optimizer(optimizer: OptimizerConfig, num_steps: int) -> None:
    name, rate, decay = optimizer.name, optimizer.learning_rate, optimizer.weight_decay
    one_of("optimizer.name", name, OPTIMIZERS)
    one_of("optimizer.schedule", optimizer.schedule, SCHEDULES)
    require("optimizer.learning_rate", rate, 0 < rate < float("inf"), "above 0")
    momentum = optimizer.momentum
    require("optimizer.momentum", momentum, 0 <= momentum < 1, "inside [0, 1)")
    at_least("optimizer.weight_decay", decay, 0)
    may_decay = not (decay and name == "adam")
    require("optimizer.weight_decay", decay, may_decay, "0 for 'adam'; use 'adamw'")
    within = f"to below num_steps ({num_steps})"
    warmup = optimizer.warmup_steps
    require("optimizer.warmup_steps", warmup, 0 <= warmup < num_steps, f"0 {within}")
    drops = optimizer.drop_steps
    for step in drops:
        require("optimizer.drop_steps", step, 1 <= step < num_steps, f"from 1 {within}")
    given = bool(drops) == (optimizer.schedule == "step_drops")
    require(
        "optimizer.drop_steps", drops, given, "given for 'step_drops', and for it alone"
    )
    distinct = len(set(drops)) == len(drops)
    require("optimizer.drop_steps", drops, distinct, "free of repetitions")
    require(
        "optimizer.drop_factor",
        optimizer.drop_factor,
        optimizer.drop_factor > 0,
        "above 0",
    )


def _check_rewind(study: StudyConfig) -> None:
    rewind = study.rewind
    one_of("rewind.preset", rewind.preset, REWINDS)
    for name, allowed in REWIND_CHOICES.items():
        value = getattr(rewind, name)
        if value is not None:
            one_of(f"rewind.{name}", value, allowed)
    if rewind.step.endswith("ep"):  # how long an epoch is, the data tell
        _in_steps(rewind, 1.0)
    else:
        rewind_step(rewind, 1.0, study.num_steps)
    what, schedule = rewind.what, study.optimizer.schedule
    require(
        "optimizer.schedule",
        schedule,
        not (what.schedule == "constant" and schedule == "cosine"),
        "another where levels go on at its last rate, which is almost 0",
    )
    repeated = "continue" in study.arms and what.params == "keep"
    require(
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
    require("rewind.step", given, 0 <= step < num_steps, allowed)
    if rewind.preset == "rewind":
        require("rewind.step", given, step == 0, "0 for 'rewind'; see rewind.preset")
    if rewind.preset == "late_rewind":
        require("rewind.step", given, step > 0, "above 0 for 'late_rewind'")
    return step


def _check_dynamic(study: StudyConfig) -> None:
    dynamic, eval_every = study.dynamic, study.eval_every_steps
    begin, end = dynamic.begin_fraction, dynamic.end_fraction
    every = dynamic.update_every_steps
    inside_unit("dynamic.drop_fraction", dynamic.drop_fraction)
    require("dynamic.begin_fraction", begin, 0 <= begin < 1, "inside [0, 1)")
    after = f"inside (begin_fraction, 1), which is above {begin}"
    require("dynamic.end_fraction", end, begin < end < 1, after)
    at_least("dynamic.update_every_steps", every, 1)
    one_of("dynamic.densities", dynamic.densities, ("ticket", *LAYER_DENSITIES))
    for arm in study.arms:
        name = spec_of(arm).dynamics
        if name is None:
            continue
        # Updates are due where a block of steps begins; evaluations cut blocks short.
        fits = every % eval_every == 0 or eval_every % every == 0
        allowed = f"a multiple or a divisor of eval_every_steps ({eval_every})"
        require("dynamic.update_every_steps", every, fits, allowed)
        try:
            make_dynamics(name, **dynamic.arguments(study.num_steps))
        except ValueError as error:
            raise ConfigError(f"dynamic.{error}") from None


def _check_verdict(verdict: VerdictConfig) -> None:
    margin = verdict.accuracy_margin
    require("verdict.accuracy_margin", margin, 0 <= margin < 1, "inside [0, 1)")
    for i, claim in enumerate(verdict.claims):
        name = f"verdict.claims[{i}]"
        require(f"{name}.density", claim.density, 0 < claim.density <= 1, "in (0, 1]")
        one_of(f"{name}.measure", claim.measure, MEASURES)
        one_of(f"{name}.arm", claim.arm, _ARMS)
        one_of(f"{name}.reference", claim.reference, ("dense", "none", *_ARMS))
        compared = claim.measure != "speedup" or claim.reference != "none"
        require(f"{name}.reference", claim.reference, compared, "given for 'speedup'")
        bounds = claim.low, claim.high
        low, high = bounds
        one_given = low is not None or high is not None
        ordered = low is None or high is None or low < high
        require(
            f"{name}.low, high", bounds, one_given and ordered, "one or both, in order"
        )
        other = claim.arm != claim.reference
        require(f"{name}.reference", claim.reference, other, "another than the arm")
