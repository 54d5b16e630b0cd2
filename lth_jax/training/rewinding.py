"""Rewinding: what a level resets when it starts, and to which step."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from lth_jax.masks import Masks
from lth_jax.training.optimizers import with_schedule_step
from lth_jax.training.state import Optimizer, TrainState, project

REWIND_CHOICES = {
    "params": ("init", "rewind", "keep"),
    "batch_stats": ("init", "rewind", "keep"),
    "optimizer": ("fresh", "rewind", "keep"),
    "schedule": ("restart", "rewind", "constant"),
}


@dataclasses.dataclass(frozen=True)
class Rewind:
    """What a level resets when it starts, and to which step.

    "rewind" resets to step k, and "init" to step 0. "keep" keeps the values at the end of
    the level before. Moments are masked.
    """

    params: str = "rewind"  # or "init", or "keep"
    batch_stats: str = "rewind"  # or "init", or "keep"
    optimizer: str = "fresh"  # or "rewind" or "keep", for its moments
    schedule: str = "rewind"  # or "restart" from step 0, or "constant", its last value

    def __post_init__(self) -> None:
        """Raises ValueError on a value that is not allowed."""
        for name, allowed in REWIND_CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                choices = ", ".join(allowed)
                raise ValueError(f"{name}: {value!r}; must be one of {choices}")

    @property
    def needs_trained(self) -> bool:
        """Whether it needs the state at the end of the level before."""
        kept = "keep" in (self.params, self.batch_stats, self.optimizer)
        return kept or self.schedule == "constant"


# Each of these trains from step k to the end of the budget.
REWINDS = {
    # k = 0: Frankle & Carbin 2019, section 2, and appendix B's strategy 1.
    "rewind": Rewind(),
    # The same, with k > 0: Frankle et al. 2020, section 4.
    "late_rewind": Rewind(),
    # Renda et al. 2020, section 3: only the schedule is rewound.
    "lr_rewind": Rewind(params="keep", batch_stats="keep"),
    # Renda et al. 2020, section 3: training goes on at the last learning rate.
    "fine_tune": Rewind(params="keep", batch_stats="keep", schedule="constant"),
    # Training goes on as if nothing but the mask had changed, as between the prunings
    # of Frankle & Carbin 2019, appendix B's strategy 2.
    "continue": Rewind("keep", "keep", "keep", "constant"),
}


def rewind(
    point: TrainState,
    masks: Masks,
    tx: Optimizer,
    trained: TrainState | None = None,
    what: Rewind = Rewind(),
    initial: TrainState | None = None,
) -> TrainState:
    """A level's first state: bit for bit `apply(masks, params at step k)`.

    `point` is the dense net's state at step k (k = 0: its init). Kept values, and a
    constant schedule, come from `trained`, the state at the end of the level before.
    Values that are reset to the init come from `initial`, the state at step 0.

    The first learning rate is `schedule(k)`, or `schedule(0)` if the schedule restarts. A
    constant schedule has the rate at the end of the level before, and a schedule of
    `make_schedule` stays there.

    Raises:
      ValueError: if `trained` or `initial` is needed and None.
    """
    if what.needs_trained and trained is None:
        raise ValueError("trained: needed, since something is kept")
    if "init" in (what.params, what.batch_stats) and initial is None:
        raise ValueError("initial: needed, since something goes back to the init")
    origins: dict[str, Any] = {"init": initial, "rewind": point, "keep": trained}
    params = origins[what.params].params
    stats = origins[what.batch_stats].batch_stats
    fresh = what.optimizer == "fresh"
    opt_state = tx.init(params) if fresh else origins[what.optimizer].opt_state
    last = getattr(trained, "step", None)
    steps: dict[str, Any] = {"restart": 0, "rewind": point.step, "constant": last}
    opt_state = with_schedule_step(opt_state, steps[what.schedule])
    state = project(TrainState(point.step, params, stats, opt_state), masks, tx)
    # Copies: a caller may donate them to a step, and still have the originals.
    own: TrainState = jax.tree.map(jnp.copy, state)
    return own
