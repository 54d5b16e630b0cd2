"""Optimizers, by name, from optax.

Every optimizer takes its learning rate from a schedule, and its state counts the
schedule's steps. `with_schedule_step` can therefore set this count.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Int

from lth_jax.registry import Registry, callables
from lth_jax.training.schedules import accepted
from lth_jax.training.state import Array, Optimizer

Number = float | jax.Array


class Rates(NamedTuple):
    """Numbers of an optimizer that change no program, float32[] or float32[M] each."""

    learning_rate: Any  # the schedule's peak
    weight_decay: Any


def _heavy_ball(
    schedule: optax.Schedule, momentum: float | None, weight_decay: Number
) -> Optimizer:
    inner = optax.sgd(schedule, momentum)
    if _is_none(weight_decay):
        return inner
    return optax.chain(optax.add_decayed_weights(weight_decay), inner)


# Factories of an optax optimizer. Each takes a schedule first, then momentum and
# weight_decay if it has parameters for them. "optax:lion" finds one in optax itself.
OPTIMIZERS: Registry[Callable[..., Optimizer]] = Registry(
    "optimizer",
    {
        "sgd": lambda schedule, weight_decay: _heavy_ball(schedule, None, weight_decay),
        "momentum": _heavy_ball,
        "adam": optax.adam,
        "adamw": optax.adamw,
    },
    callables("must be a function"),
)


def make_optimizer(
    name: str,
    schedule: optax.Schedule,
    *,
    momentum: float = 0.9,
    weight_decay: Number = 0.0,
) -> Optimizer:
    """An optax optimizer by name, with this schedule of the learning rate.

    The name is "sgd", "momentum" (heavy ball), "adam", "adamw", or your own (see
    `OPTIMIZERS.find`). Of the package's, "momentum" alone takes momentum. "sgd" and
    "momentum" add weight decay to the gradient (coupled), as the paper does for ResNet
    and VGG. "adamw" decouples it, and "adam" takes none. Weight decay may be traced, and
    then always counts as some.

    Raises:
      ValueError: on a name that finds nothing (an UnknownName), or on weight decay for an
        optimizer that takes none.
    """
    make = OPTIMIZERS.find(name)
    settings = accepted(make, momentum=momentum, weight_decay=weight_decay)
    if not _is_none(weight_decay) and "weight_decay" not in settings:
        hint = "; use 'adamw'" if name == "adam" else ""
        raise ValueError(
            f"weight_decay: {weight_decay} is not allowed; must be 0 for {name!r}{hint}"
        )
    return make(schedule, **settings)


def _is_none(weight_decay: Number) -> bool:
    return not isinstance(weight_decay, jax.Array) and not weight_decay


def with_schedule_step(
    opt_state: optax.OptState, step: Int[Array, ""] | int
) -> optax.OptState:
    """The same optimizer state, with its schedules set to a step.

    Moments stay as they are, and also Adam's own count, which corrects their bias. An
    optimizer with a fixed learning rate is returned unchanged. The function sets optax's
    own schedules: a learning rate that is a schedule, and `optax.inject_hyperparams`.
    """
    kinds = (optax.ScaleByScheduleState, optax.InjectStatefulHyperparamsState)

    def move(node: Any) -> Any:
        if isinstance(node, optax.ScaleByScheduleState):
            return node._replace(count=jnp.int32(step))
        if not isinstance(node, kinds):
            return node
        # A schedule's state is its count.
        states = jax.tree.map(lambda _: jnp.int32(step), node.hyperparams_states)
        inner = with_schedule_step(node.inner_state, step)
        return node._replace(hyperparams_states=states, inner_state=inner)

    return jax.tree.map(move, opt_state, is_leaf=lambda node: isinstance(node, kinds))
