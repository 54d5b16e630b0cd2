"""Cost: the training FLOPs that finding a ticket takes and using it saves."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

# FLOPs of a training step per multiply-add of one example's forward pass: two each for
# outputs, gradients of inputs and gradients of weights.
FLOPS = 6

Array = jax.Array | np.ndarray
Numbers = Float[Array, " levels"]


class Spending(NamedTuple):
    """Training FLOPs by level, float32[levels]; the first is the dense net."""

    find: Array  # all training before the level can start
    use: Array  # training the level itself
    saved: Array  # the dense net's training minus `use`
    # How many times the level must train in place of the dense net to repay `find`; NaN
    # if it never does.
    pays_after: Array


def spending(
    multiply_adds: Numbers,
    steps: Numbers,
    used_steps: Numbers,
    batch_size: int,
    is_one_shot: bool = False,
) -> Spending:
    """Returns the FLOPs of each level of a study; pure, for `jit` and `vmap`.

    Args:
      multiply_adds: those of one example's forward pass at each level, either for all
        weights or for those that are kept.
      steps: the steps that each level trains before the next is pruned.
      used_steps: the steps that each level trains in use, such as to its early stop.
      batch_size: the number of examples in a step.
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
