"""Arm checks: what a study's arms ask of its config."""

from lth_jax.config import ConfigError, StudyConfig
from lth_jax.config.requirements import one_of, require
from lth_jax.core.arms import ARMS, is_criterion, spec_of
from lth_jax.pruning.criteria import CRITERIA
from lth_jax.training.dynamics import make_dynamics

_ARMS = (*ARMS, *CRITERIA)


def check_arms(study: StudyConfig) -> None:
    """Checks that the arms are known, and that they fit the other fields.

    Raises:
      ConfigError: naming the field, its value, and what is allowed.
    """
    arms, what = study.arms, study.rewind.what
    for arm in arms:
        one_of("arms", arm, _ARMS)
    one_shot = bool(study.prune.densities) or not any(map(is_criterion, arms))
    require("arms", arms, one_shot, "without criteria where prune.densities is empty")
    repeats = "continue" in arms and what.params == "keep"
    require("arms", arms, not repeats, "without 'continue' where the ticket does so")
    for arm in arms:
        if (name := spec_of(arm).dynamics) is not None:
            _check_updates(study, name)
    for i, claim in enumerate(study.verdict.claims):
        field = f"verdict.claims[{i}]"
        one_of(f"{field}.arm", claim.arm, _ARMS)
        one_of(f"{field}.reference", claim.reference, ("dense", "none", *_ARMS))


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
