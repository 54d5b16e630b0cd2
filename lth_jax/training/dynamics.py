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
    """What an update of the masks reads."""

    params: Params
    masks: Masks  # before the update
    goal: Counts  # the counts that the masks have in the end
    gradients: Callable[[], Params]  # of the loss, by all weights, pruned ones too
    key: jax.Array | None  # of this update; None if the steps have no `mask_key`


@dataclasses.dataclass(frozen=True)
class Dynamics:
    """When masks change, by how much, and how.

    Updates are due before steps 0, every, 2 every, and so on. Each makes new masks from
    its amount and a moment. There is no update where the amount is 0, or after the last
    amount.
    """

    every: int
    amounts: tuple[float, ...]  # in [0, 1], the share that changes at each update
    update: Callable[[Float32[jax.Array, ""], Moment], Masks]
    goal_step: int = 0  # after this number of steps the masks have the goal's counts

    def amount(self, step: Int[Array, ""]) -> Float32[jax.Array, ""]:
        """The amount of the update before a step; 0 if no update is due."""
        number = step // self.every
        is_due = (step % self.every == 0) & (number < len(self.amounts))
        # JAX clamps an index beyond the last.
        return jnp.where(is_due, jnp.asarray(self.amounts, jnp.float32)[number], 0.0)

    def updated(self, step: Int[Array, ""], moment: Moment) -> Masks:
        """The masks after the update before a step; unchanged if no update is due."""
        amount = self.amount(step)
        return jax.lax.cond(
            amount > 0, lambda: self.update(amount, moment), lambda: moment.masks
        )


def gradual(
    every: int, begin_step: int, end_step: int, prunable: Prunable = default_prunable
) -> Dynamics:
    """Gradual magnitude pruning, from full masks to the goal's counts.

    Zhu & Gupta 2017, equation 1, from sparsity 0. Update i, from 1 to n, is before step
    begin + i * every. After it the share `1 - (1 - i / n)**3` of all weights that will be
    pruned is pruned, in each leaf. The first step is rounded up to a multiple of `every`.
    The last update is no later than `end_step`.

    Raises:
      ValueError: if no update falls between the two steps.
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

    Before steps every, 2 every, and so on below end_step, each leaf drops the fraction,
    in (0, 1), of its weights. The paper has an epoch between updates. It drops the
    fraction of positive and of negative weights separately, and draws the values of new
    weights. Here new weights start at 0, as in Evci et al. 2020.

    Raises:
      ValueError: on another fraction, or in an update without a key.
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

    Before steps t = 0, every, 2 every, and so on below end_step, each leaf drops the
    fraction `a / 2 * (1 + cos(pi t / end_step))` of its weights (algorithm 1). a is the
    drop fraction. In the paper `every` is 100, a is 0.3, and `end_step` is three quarters
    of the budget.

    Raises:
      ValueError: on a drop fraction outside (0, 1).
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


# Factories of `Dynamics`. Each takes those settings of `make_dynamics` that it names.
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
    """Dynamics by name, or your own by `package.module:name` (see `DYNAMICS.find`).

    A factory receives the settings that it has parameters for; update_every_steps is its
    `every`.

    Raises:
      ValueError: if the name finds nothing (an UnknownName), or by the factory.
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
