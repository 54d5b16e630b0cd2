"""Rewind: what a level resets when it starts, and to which step."""

import dataclasses

from lth_jax.config.requirements import Checks, ConfigError, require
from lth_jax.training.rewinding import REWIND_CHOICES, REWINDS, Rewind


@dataclasses.dataclass(frozen=True)
class RewindConfig:
    """What a level resets when it starts, and to which step."""

    # "rewind" (to the init, as in the paper), "late_rewind" (to step k > 0), "lr_rewind"
    # (the schedule alone), "fine_tune" or "continue"; see
    # `lth_jax.training.rewinding.REWINDS`.
    preset: str = "rewind"
    # k, a step of the dense net's training, or an epoch such as "2ep". Levels after the
    # first train from step k to the end of the budget. A multiple of eval_every_steps
    # saves compilations.
    step: str = "0"
    params: str | None = None  # None: the preset's value; see `training.rewinding.Rewind`
    batch_stats: str | None = None  # the same, for batch statistics
    optimizer: str | None = None  # the same, for the optimizer's moments
    schedule: str | None = None  # the same, for the learning rate's schedule

    @property
    def what(self) -> Rewind:
        """Returns the preset, with the fields that are set in place of its own."""
        own = {name: getattr(self, name) for name in REWIND_CHOICES}
        given = {name: value for name, value in own.items() if value is not None}
        return dataclasses.replace(REWINDS[self.preset], **given)

    @property
    def is_rewound(self) -> bool:
        """Whether weights are rewound, in which case levels have tickets."""
        return self.what.params != "keep"

    def check(self, num_steps: int) -> None:
        """Raises a `ConfigError` on a value that is not allowed for this budget."""
        check = Checks(self, "rewind.")
        check.one_of("preset", REWINDS)
        for name, allowed in REWIND_CHOICES.items():
            check.one_of(name, allowed)
        if self.step.endswith("ep"):  # the data decide the length of an epoch
            _parsed(self.step, 1.0)
        else:
            rewind_step(self, 1.0, num_steps)


def rewind_step(rewind: RewindConfig, steps_per_epoch: float, num_steps: int) -> int:
    """Returns the rewind step k, in steps; that of an epoch is rounded.

    Raises a `ConfigError` if it does not fit the preset or the budget.
    """
    step = _parsed(rewind.step, steps_per_epoch)
    given = rewind.step if rewind.step == str(step) else f"{rewind.step} (step {step})"
    allowed = f"from 0 to below num_steps ({num_steps})"
    require("rewind.step", given, 0 <= step < num_steps, allowed)
    if rewind.preset == "rewind":
        require("rewind.step", given, step == 0, "0 for 'rewind'; see rewind.preset")
    if rewind.preset == "late_rewind":
        require("rewind.step", given, step > 0, "above 0 for 'late_rewind'")
    return step


def _parsed(text: str, steps_per_epoch: float) -> int:
    number = text.removesuffix("ep")
    try:
        return int(text) if number == text else round(float(number) * steps_per_epoch)
    except (ValueError, OverflowError):
        allowed = "a step such as '500', or an epoch such as '2ep'"
        raise ConfigError(f"rewind.step: {text!r}; must be {allowed}") from None
