"""Learning-rate schedules, by name, from optax."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lth_jax.registry import Registry, callables


def accepted(factory: Callable[..., Any], **settings: Any) -> dict[str, Any]:
    """The settings that a factory has parameters for."""
    parameters = inspect.signature(factory).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return settings
    return {name: value for name, value in settings.items() if name in parameters}


def _step_drops(
    learning_rate: float | jax.Array, drop_steps: tuple[int, ...], drop_factor: float
) -> optax.Schedule:
    drops = dict.fromkeys(drop_steps, drop_factor)
    return optax.piecewise_constant_schedule(learning_rate, drops)


# Factories of an `optax.Schedule`. Each takes those settings of `make_schedule` that it
# names, of learning_rate, num_steps, drop_steps and drop_factor.
SCHEDULES: Registry[Callable[..., optax.Schedule]] = Registry(
    "schedule",
    {
        "constant": lambda learning_rate: optax.constant_schedule(learning_rate),
        "step_drops": _step_drops,
        "cosine": lambda learning_rate, num_steps: optax.cosine_decay_schedule(
            learning_rate, num_steps
        ),
    },
    callables("must be a function"),
)


def make_schedule(
    name: str,
    learning_rate: float | jax.Array,
    *,
    num_steps: int,
    warmup_steps: int = 0,
    drop_steps: tuple[int, ...] = (),
    drop_factor: float = 0.1,
) -> optax.Schedule:
    """A learning-rate schedule: a function from the step, from 0, to the learning rate.

    `learning_rate` is its peak. The name is "constant", "step_drops", "cosine" or your
    own (see `SCHEDULES.find`). "step_drops" multiplies by drop_factor at each of
    drop_steps, counted from the start of training. "cosine" decays to 0 at num_steps.
    With warm-up the rate is multiplied by min(1, step / warmup_steps) (Frankle & Carbin
    2019, section 4). num_steps is the whole budget, warm-up included. After its last step
    the rate stays.

    Raises:
      ValueError: on a name that finds nothing (an UnknownName).

    Example:
      >>> schedule = make_schedule("constant", 0.1, num_steps=100, warmup_steps=10)
      >>> [round(float(schedule(step)), 3) for step in (0, 5, 10, 99)]
      [0.0, 0.05, 0.1, 0.1]
    """
    make = SCHEDULES.find(name)
    settings = {
        "learning_rate": learning_rate,
        "num_steps": num_steps,
        "drop_steps": drop_steps,
        "drop_factor": drop_factor,
    }
    base = make(**accepted(make, **settings))

    def schedule(step: Any) -> jax.Array:
        step = jnp.minimum(step, num_steps - 1)
        warmth = jnp.minimum(1.0, step / warmup_steps) if warmup_steps else 1.0
        rate: jax.Array = base(step) * warmth
        return rate

    return schedule
