"""Cost: what training spends to find a ticket, and saves by using it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

# FLOPs of a training step per multiply-add of an example's forward pass: two each for
# outputs, for gradients of inputs and for gradients of weights.
FLOPS = 6

Array = jax.Array | np.ndarray
Numbers = Float[Array, " levels"]


class Spending(NamedTuple):
    """Training FLOPs by level, float32[levels]; the first is the dense net."""

    find: Array  # all that was trained before the level could start
    use: Array  # to train the level itself
    saved: Array  # of the dense net's training, where the level trains in its place
    # How often it must train in the dense net's place before finding it has paid; NaN
    # where it never does.
    pays_after: Array


def spending(
    multiply_adds: Numbers,
    steps: Numbers,
    used_steps: Numbers,
    batch_size: int,
    is_one_shot: bool = False,
) -> Spending:
    """What the levels of one study spend; pure, for `jit` and `vmap`.

    Args:
      multiply_adds: of one example's forward pass at each level: those of all weights, or
        of those that are left.
      steps: that each level trains to find the next.
      used_steps: that it trains where it is used, such as to its early stop.
      batch_size: examples a step.
      is_one_shot: whether every level is pruned from the dense net.
    """
    a_step = FLOPS * batch_size * jnp.asarray(multiply_adds, float)
    trained, use = a_step * steps, a_step * used_steps
    before = jnp.cumsum(trained) - trained
    find = jnp.where(jnp.arange(len(trained)) > 0, trained[0], 0)
    find = find if is_one_shot else before
    saved = use[0] - use
    pays_after = jnp.where(saved > 0, find / jnp.where(saved > 0, saved, 1), jnp.nan)
    return Spending(find, use, saved, pays_after)
