"""Criterion: how weights are scored, when, and what it may look at."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from lth_jax.errors import UserError
from lth_jax.masks import Masks, Params, Prunable, named_leaves, prunable_leaves
from lth_jax.removal import Scores
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
      apply_to_ones: `jax.tree_util.Partial(network.apply_to_ones)`.
      batch_indices: the batches of the examples that a mask is learned on.
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
    apply_to_ones: Callable[..., Float[jax.Array, "1 ..."]] | None = None
    batch_indices: Int[Array, "steps batch"] | None = None
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

    def for_learning(self) -> tuple[Any, ...]:
        """What a mask is learned from: the net at the init, batches, examples, key.

        Raises:
          ValueError: without `apply`, `batch_indices` or `examples`.
        """
        apply, batches, examples = self.need("apply", "batch_indices", "examples")
        return (
            apply,
            self.init_params,
            self.init_batch_stats,
            batches,
            examples,
            self.key,
        )


@dataclasses.dataclass(frozen=True)
class Criterion:
    """A method of pruning.

    Attributes:
      scores: evidence to float leaves like the params, of which low goes first; pure.
      looks: at a trained net ("end"), at one before training ("init"), or at "nothing".
      one_shot: whether it prunes straight to a density alone, before training.
      at_data: whether it needs examples.
      learns: whether it trains scores at the init, on batches of all training examples.
      num_rounds: in how many steps it prunes, with scores of what is left at each.
      scope: its own in place of the study's `prune.scope`; None: the study's.
    """

    scores: Callable[[Evidence], Scores]
    looks: str = "end"
    one_shot: bool = False
    at_data: bool = False
    learns: bool = False
    num_rounds: int = 1
    scope: str | None = None


class NothingSaid(UserError, ValueError):
    """Scores that do not say which weights to keep."""


def check_scores(scores: Scores, masks: Masks, prunable: Prunable) -> None:
    """Checks that scores of what is kept are finite, and at first not all 0.

    Later a net may be cut in two, of which SynFlow says 0 everywhere.

    Raises:
      NothingSaid: naming a leaf.
    """
    score_of, is_first, says_nothing = dict(named_leaves(scores)), True, True
    for name, mask in prunable_leaves(masks, prunable):
        kept = np.asarray(score_of[name])[np.asarray(mask)]
        if not np.isfinite(kept).all():
            raise NothingSaid(
                f"scores: {name} holds {kept[~np.isfinite(kept)][0]}; it cannot be"
                " told which weights to keep"
            )
        is_first &= kept.size == mask.size
        says_nothing &= not kept.any()
    if is_first and says_nothing:
        raise NothingSaid(
            f"scores: all are 0, those of {name} too; they tell nothing"
        )
