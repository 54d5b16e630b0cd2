"""Criterion: how and when weights are scored, and the evidence that a score reads."""

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
    """What is known of one member when it is pruned: a pytree, for `jit` and `vmap`.

    Params and batch statistics (empty without batch normalisation) are those of the
    trained net. Fields named `init` are those of the original init. A criterion reads the
    fields that it needs, and raises if one is None. New kinds of evidence are new fields.
    """

    params: Params
    init_params: Params
    masks: Masks
    key: jax.Array  # for criteria that draw
    batch_stats: BatchStats = {}  # noqa: RUF012 - nobody changes it
    init_batch_stats: BatchStats = {}  # noqa: RUF012
    examples: Examples | None = None  # training examples, for gradients
    # The net's functions, each a `jax.tree_util.Partial` such as that of `network.apply`.
    apply: Callable[..., Any] | None = None
    apply_to_ones: Callable[..., Float[jax.Array, "1 ..."]] | None = None
    batch_indices: Int[Array, "steps batch"] | None = None  # for criteria that learn
    counts: Counts | None = None  # weights to keep, by leaf; None under global scope
    loss: Loss = CROSS_ENTROPY

    def need(self, *fields: str) -> tuple[Any, ...]:
        """The values of these fields; raises a ValueError naming one that is None."""
        for field in fields:
            if getattr(self, field) is None:
                raise ValueError(f"evidence.{field}: None; this criterion needs it")
        return tuple(getattr(self, field) for field in fields)

    def for_learning(self) -> tuple[Any, ...]:
        """The first arguments of `supermask` and `edge_popup`, with the net's init."""
        apply, batches, examples = self.need("apply", "batch_indices", "examples")
        init = self.init_params, self.init_batch_stats
        return apply, *init, batches, examples, self.key


@dataclasses.dataclass(frozen=True)
class Criterion:
    """A pruning criterion: its scores, and when and on what it computes them."""

    # Pure. Returns leaves like the params; the lowest scores are removed first.
    scores: Callable[[Evidence], Scores]
    looks: str = "end"  # reads the trained net ("end"), the one at "init", or "nothing"
    one_shot: bool = False  # whether it prunes straight to a density, before training
    at_data: bool = False  # whether it needs examples
    learns: bool = False  # whether it trains scores at the init, on all examples
    num_rounds: int = 1  # the rounds that it prunes in, with new scores in each
    scope: str | None = None  # its own scope; None: the study's `prune.scope`


def check_real(params: Params) -> None:
    """Checks that all params are real, for a criterion that knows no others.

    Raises:
      ValueError: naming a complex leaf.
    """
    for path, leaf in named_leaves(params):
        if jax.numpy.iscomplexobj(leaf):
            raise ValueError(
                f"params: {path} is {leaf.dtype}; must be real, for this criterion"
            )


class NothingSaid(UserError, ValueError):
    """Scores do not say which weights to keep."""


def check_scores(scores: Scores, masks: Masks, prunable: Prunable) -> None:
    """Checks that scores of kept weights are finite, and not all 0 in a dense net.

    A sparse net may be cut in two. SynFlow then scores every weight 0.

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
        raise NothingSaid(f"scores: all are 0, those of {name} too; they tell nothing")
