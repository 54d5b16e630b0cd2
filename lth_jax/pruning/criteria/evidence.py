"""Evidence: what a pruning criterion may look at."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from lth_jax.masks import Masks, Params
from lth_jax.training.connections import Counts
from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss
from lth_jax.training.state import Array, BatchStats


class Evidence(NamedTuple):
    """What is known of one member when it is pruned. A pytree, for `jit` and `vmap`.

    A criterion takes what it needs, and says so where that is None; a new one that needs
    more adds a field here, and the others stay as they are.

    Attributes:
      params: the trained weights.
      init_params: the weights at the original init.
      masks: the masks so far.
      key: for criteria that draw.
      batch_stats: the trained net's statistics of batch normalisation; empty without.
      init_batch_stats: those at the init.
      examples: training examples to take gradients on.
      apply: the net, as `jax.tree_util.Partial(network.apply)`.
      apply_to_ones: likewise of `network.apply_to_ones`.
      batch_indices: int32[T, B], the batches of the examples that a mask is learned on.
      counts: how many weights of each leaf are to be kept, int32 scalars like the masks;
        None where they are counted over all layers together.
      loss: what the net is trained for.
    """

    params: Params
    init_params: Params
    masks: Masks
    key: jax.Array
    batch_stats: BatchStats = {}  # noqa: RUF012 - nobody changes it
    init_batch_stats: BatchStats = {}  # noqa: RUF012
    examples: Examples | None = None
    apply: Callable[..., Any] | None = None
    apply_to_ones: Callable[..., jax.Array] | None = None
    batch_indices: Array | None = None
    counts: Counts | None = None
    loss: Loss = CROSS_ENTROPY

    def need(self, *fields: str) -> tuple[Any, ...]:
        """The values of fields that may be None.

        Raises:
          ValueError: naming the one that is.
        """
        for field in fields:
            if getattr(self, field) is None:
                raise ValueError(f"evidence.{field}: None; this criterion needs it")
        return tuple(getattr(self, field) for field in fields)
