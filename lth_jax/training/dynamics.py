"""Dynamics: how masks change while a net trains: gradual pruning, SET and RigL."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, Int

from lth_jax.masks import Masks, Params, Prunable, default_prunable
from lth_jax.registry import Registry, callables
from lth_jax.removal import Scores
from lth_jax.training import connections
from lth_jax.training.connections import Counts
from lth_jax.training.schedules import accepted
from lth_jax.training.state import Array


class Moment(NamedTuple):
    """What an update looks at."""

    params: Params
    masks: Masks  # before the update
    goal: Counts  # that the masks end with
    gradients: Callable[[], Params]  # of the loss by all weights, the pruned included
    key: jax.Array | None  # of this update; None if none was given


@dataclasses.dataclass(frozen=True)
class Dynamics:
    """When masks change, by how much, and how.

    Updates are due before steps 0, every, 2 every, …; each makes new masks of an amount
    and a moment. An amount of 0 is no update, and after the last there is none.
    """

    every: int
    amounts: tuple[float, ...]  # in [0, 1], how much changes at each update
    update: Callable[[Float32[jax.Array, ""], Moment], Masks]
    goal_step: int = 0  # after so many steps the masks have the goal's counts

    def amount(self, step: Int[Array, ""]) -> Float32[jax.Array, ""]:
        """How much changes before a step; 0 where no update is due."""
        number = step // self.every
        is_due = (step % self.every == 0) & (number < len(self.amounts))
        # Beyond the last, the index is clamped.
        return jnp.where(is_due, jnp.asarray(self.amounts, jnp.float32)[number], 0.0)

    def updated(self, step: Int[Array, ""], moment: Moment) -> Masks:
        """The masks after the update before a step; as they were where none is due."""
        amount = self.amount(step)
        return jax.lax.cond(
            amount > 0, lambda: self.update(amount, moment), lambda: moment.masks
        )


def gradual(
    every: int, begin_step: int, end_step: int, prunable: Prunable = default_prunable
) -> Dynamics:
    """Gradual magnitude pruning, from full masks to the goal's counts.

    Zhu & Gupta 2017, equation 1, from sparsity 0: before step begin + i every, for i from
    1 to n, as many are pruned of each leaf as make a share `1 - (1 - i / n)**3` of all
    that are to be pruned. The first step is rounded up to a multiple of `every`; the last
    update is no later than `end_step`. If none falls between them it is a ValueError.
    """
    first = -(-begin_step // every)
    number = end_step // every - first
    if number < 1:
        raise ValueError(
            f"update_every_steps: {every}; must leave an update after step"
            f" {first * every}, and no later than step {end_step}"
        )
    shares = 1 - (1 - np.arange(number + 1) / number) ** 3

    def update(share: Float[jax.Array, ""], moment: Moment) -> Masks:
        scores = jax.tree.map(jnp.abs, moment.params)
        return connections.shrink(scores, moment.masks, moment.goal, share, prunable)

    amounts = (0.0,) * first + tuple(map(float, shares))
    return Dynamics(every, amounts, update, goal_step=(first + number) * every + 1)


def sparse_evolution(
    every: int, end_step: int, drop_fraction: float, prunable: Prunable = default_prunable
) -> Dynamics:
    """SET (Mocanu et al. 2018): drops the smallest weights, and grows at random.

    Of each leaf's weights kept the drop fraction, in (0, 1), before steps every, 2 every,
    … < end_step. The paper has an epoch between updates, drops the fraction of positive
    and negative weights apart, and draws those that grow; here they start at 0, as in
    Evci et al. 2020. Another fraction, or an update without a key, is a ValueError.
    """

    def growth(moment: Moment) -> Scores:
        if moment.key is None:
            raise ValueError("mask_key: needed, since weights grow at random")
        return connections.uniform_scores(moment.key, moment.masks)

    shares = [0.0] + [1.0] * len(range(every, end_step, every))
    return _reconnecting(every, drop_fraction, np.array(shares), growth, prunable)


def rigl(
    every: int, end_step: int, drop_fraction: float, prunable: Prunable = default_prunable
) -> Dynamics:
    """RigL (Evci et al. 2020): drops the smallest, grows where gradients are largest.

    Algorithm 1's fraction `a / 2 * (1 + cos(pi t / end_step))` of each leaf's weights
    kept before steps t = 0, every, 2 every, … < end_step. In the paper `every` is 100,
    the end at three quarters of the budget, and a, the drop fraction, 0.3. A fraction
    outside (0, 1) is a ValueError.
    """

    def growth(moment: Moment) -> Scores:
        return jax.tree.map(jnp.abs, moment.gradients())

    shares = (1 + np.cos(np.pi * np.arange(0, end_step, every) / end_step)) / 2
    return _reconnecting(every, drop_fraction, shares, growth, prunable)


def _reconnecting(
    every: int,
    drop_fraction: float,
    shares: Float[np.ndarray, " updates"],
    growth: Callable[[Moment], Scores],
    prunable: Prunable,
) -> Dynamics:
    """Drops a share of the drop fraction at each update, and grows as many."""
    if not 0 < drop_fraction < 1:
        raise ValueError(f"drop_fraction: {drop_fraction}; must be inside (0, 1)")

    def update(fraction: Float[jax.Array, ""], moment: Moment) -> Masks:
        scores, grown = jax.tree.map(jnp.abs, moment.params), growth(moment)
        return connections.reconnect(scores, grown, moment.masks, fraction, prunable)

    return Dynamics(every, tuple(map(float, drop_fraction * shares)), update)


# Factories of `Dynamics`, of those of `make_dynamics`'s settings that they take.
DYNAMICS: Registry[Callable[..., Dynamics]] = Registry(
    "dynamics",
    {"gradual": gradual, "set": sparse_evolution, "rigl": rigl},
    callables("must be a function"),
)


def make_dynamics(
    name: str,
    *,
    update_every_steps: int,
    begin_step: int,
    end_step: int,
    drop_fraction: float,
    prunable: Prunable = default_prunable,
) -> Dynamics:
    """Dynamics by name, or one's own of `DYNAMICS.find`.

    Each takes what it has parameters for; update_every_steps is its `every`. A name that
    finds nothing is a ValueError, and so is what the function does not allow.
    """
    make = DYNAMICS.find(name)
    settings = {
        "every": update_every_steps,
        "begin_step": begin_step,
        "end_step": end_step,
        "drop_fraction": drop_fraction,
        "prunable": prunable,
    }
    return make(**accepted(make, **settings))
