"""Checks: what a study's arms require of its config. The config itself knows no arm."""

from lth_jax.config import ConfigError, StudyConfig
from lth_jax.config.requirements import require
from lth_jax.lottery.arms import Arm, find_arm
from lth_jax.registry import UnknownName
from lth_jax.training.dynamics import make_dynamics


def check_arms(study: StudyConfig) -> None:
    """Checks that the arms are known, and that they fit the other fields.

    Raises:
      ConfigError: naming the field, its value, and what is allowed.
    """
    names, what = study.arms, study.rewind.what
    arms = [_found("arms", name) for name in names]
    require("arms", names, "ticket" in names, "a tuple with 'ticket' in it")
    distinct = len({study.prune.criterion, *names}) == len(names) + 1
    require("arms", names, distinct, "free of repetitions, and of prune.criterion")
    one_shot = bool(study.prune.densities) or not any(arm.is_criterion for arm in arms)
    require("arms", names, one_shot, "without criteria where prune.densities is empty")
    repeats = "continue" in names and what.params == "keep"
    require("arms", names, not repeats, "without 'continue' where the ticket does so")
    for arm in arms:
        if arm.dynamics is not None:
            _check_updates(study, arm.dynamics)
    for i, claim in enumerate(study.verdict.claims):
        field = f"verdict.claims[{i}]"
        _found(f"{field}.arm", claim.arm)
        if claim.reference not in ("dense", "none"):
            _found(f"{field}.reference", claim.reference)


def _found(field: str, name: str) -> Arm:
    try:
        return find_arm(name)
    except UnknownName as error:
        raise ConfigError(f"{field}: {error}") from None


def _check_updates(study: StudyConfig, dynamics: str) -> None:
    every, eval_every = study.dynamic.update_every_steps, study.eval_every_steps
    # Updates are due where a block of steps begins; evaluations cut blocks short.
    fits = every % eval_every == 0 or eval_every % every == 0
    allowed = f"a multiple or a divisor of eval_every_steps ({eval_every})"
    require("dynamic.update_every_steps", every, fits, allowed)
    try:
        make_dynamics(dynamics, **study.dynamic.arguments(study.num_steps))
    except ValueError as error:
        raise ConfigError(f"dynamic.{error}") from None
