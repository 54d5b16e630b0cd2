"""Optimizers and learning-rate schedules, by name, from optax.

Every optimizer takes its learning rate from a schedule, so that its state counts
schedule steps and `with_schedule_step` can set where on the schedule it stands.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

OPTIMIZERS = ("sgd", "momentum", "adam", "adamw")
SCHEDULES = ("constant", "step_drops", "cosine")


def make_schedule(
    name: str,
    learning_rate: float,
    *,
    num_steps: int,
    warmup_steps: int = 0,
    drop_steps: tuple[int, ...] = (),
    drop_factor: float = 0.1,
) -> optax.Schedule:
    """A learning-rate schedule: step (from 0) to learning rate.

    Beyond its last step, num_steps - 1, it stays at that step's rate.

    Args:
      name: "constant"; "step_drops" (times drop_factor at each of drop_steps);
        "cosine" (to 0 at num_steps).
      learning_rate: the peak.
      num_steps: the whole budget, warm-up included.
      warmup_steps: the rate first grows linearly from 0, and is times
        min(1, step / warmup_steps) of the schedule's (Frankle & Carbin 2019,
        section 4).
      drop_steps: for "step_drops", in steps from the start of training.
      drop_factor: for "step_drops".

    Raises:
      ValueError: on an unknown name.
    """
    if name == "constant":
        base = optax.constant_schedule(learning_rate)
    elif name == "step_drops":
        base = optax.piecewise_constant_schedule(
            learning_rate, dict.fromkeys(drop_steps, drop_factor)
        )
    elif name == "cosine":
        base = optax.cosine_decay_schedule(learning_rate, num_steps)
    else:
        raise ValueError(f"schedule: {name!r}; must be one of {SCHEDULES}")

    def schedule(step: Any) -> jax.Array:
        step = jnp.minimum(step, num_steps - 1)
        warmth = jnp.minimum(1.0, step / warmup_steps) if warmup_steps else 1.0
        rate: jax.Array = base(step) * warmth
        return rate

    return schedule


def make_optimizer(
    name: str,
    schedule: optax.Schedule,
    *,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """An optax optimizer by name.

    Args:
      name: "sgd", "momentum" (heavy ball), "adam" or "adamw".
      schedule: the learning rate.
      momentum: for "momentum".
      weight_decay: for "sgd" and "momentum" coupled (added to the gradient, as in
        the paper's ResNet and VGG), for "adamw" decoupled. Not for "adam".

    Raises:
      ValueError: on an unknown name, or weight decay with "adam".
    """
    if name == "adam":
        if weight_decay:
            raise ValueError("weight_decay: not for 'adam'; use 'adamw'")
        return optax.adam(schedule)
    if name == "adamw":
        return optax.adamw(schedule, weight_decay=weight_decay)
    if name in ("sgd", "momentum"):
        inner = optax.sgd(schedule, momentum if name == "momentum" else None)
        if not weight_decay:
            return inner
        return optax.chain(optax.add_decayed_weights(weight_decay), inner)
    raise ValueError(f"optimizer: {name!r}; must be one of {OPTIMIZERS}")


# Of a learning rate that is a schedule, and of `optax.inject_hyperparams`; optax does not
# export the second.
_SCHEDULE_STATES = ("ScaleByScheduleState", "WrappedScheduleState")


def with_schedule_step(opt_state: optax.OptState, step: Any) -> optax.OptState:
    """The same optimizer state, standing at a given step of its schedules.

    Moments, and Adam's own count that corrects their bias, are left as they are;
    an optimizer with a fixed learning rate comes back unchanged.

    Args:
      opt_state: of an optax optimizer whose schedules are optax's own: a learning rate
        given as a schedule, or `optax.inject_hyperparams`.
      step: int32 scalar.
    """

    def is_schedule(node: Any) -> bool:
        return type(node).__name__ in _SCHEDULE_STATES

    def move(node: Any) -> Any:
        return node._replace(count=jnp.int32(step)) if is_schedule(node) else node

    return jax.tree.map(move, opt_state, is_leaf=is_schedule)
