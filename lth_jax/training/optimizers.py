"""Optimizers, by name, from optax.

Every optimizer takes its learning rate from a schedule, so that its state counts
schedule steps and `with_schedule_step` can set where on the schedule it stands.
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
    """Numbers of an optimizer that change no program: float32[] each, or [M]."""

    learning_rate: Any  # the schedule's peak
    weight_decay: Any


def _heavy_ball(
    schedule: optax.Schedule, momentum: float | None, weight_decay: Number
) -> Optimizer:
    inner = optax.sgd(schedule, momentum)
    if _is_none(weight_decay):
        return inner
    return optax.chain(optax.add_decayed_weights(weight_decay), inner)


# Factories of an optax optimizer: a schedule first, then of momentum and weight_decay
# what they have parameters for. So those of optax itself are found as "optax:lion".
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
    """An optax optimizer by name; the schedule is of the learning rate.

    The name is "sgd", "momentum" (heavy ball; it alone takes momentum), "adam", "adamw",
    or one's own, of `OPTIMIZERS.find`. Weight decay is coupled for "sgd" and "momentum"
    (added to the gradient, as in the paper's ResNet and VGG), decoupled for "adamw", and
    not for "adam". It may be traced, and is then never taken for none.

    Raises:
      ValueError: on a name that finds nothing (an UnknownName), or weight decay for an
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
    """The same optimizer state, standing at a given step of its schedules.

    Moments, and Adam's own count that corrects their bias, are left as they are; an
    optimizer with a fixed learning rate comes back unchanged. Its schedules are optax's
    own: a learning rate given as a schedule, or `optax.inject_hyperparams`.
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
