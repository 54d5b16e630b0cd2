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

    Params and batch statistics (empty without batch normalisation) are of the trained
    net, those named `init` of the original init. A criterion takes what it needs, and
    says so where that is None. One that needs more adds a field here.
    """

    params: Params
    init_params: Params
    masks: Masks
    key: jax.Array  # for criteria that draw
    batch_stats: BatchStats = {}  # noqa: RUF012 - nobody changes it
    init_batch_stats: BatchStats = {}  # noqa: RUF012
    examples: Examples | None = None  # of training, to take gradients on
    # The net, as `jax.tree_util.Partial(network.apply)`, and so the next.
    apply: Callable[..., Any] | None = None
    apply_to_ones: Callable[..., Float[jax.Array, "1 ..."]] | None = None
    batch_indices: Int[Array, "steps batch"] | None = None  # that a mask is learned on
    counts: Counts | None = None  # to be kept; None where all layers count together
    loss: Loss = CROSS_ENTROPY

    def need(self, *fields: str) -> tuple[Any, ...]:
        """The values of fields that may be None; a ValueError names one that is."""
        for field in fields:
            if getattr(self, field) is None:
                raise ValueError(f"evidence.{field}: None; this criterion needs it")
        return tuple(getattr(self, field) for field in fields)

    def for_learning(self) -> tuple[Any, ...]:
        """What `supermask` and `edge_popup` take first, of the net at its init."""
        apply, batches, examples = self.need("apply", "batch_indices", "examples")
        init = self.init_params, self.init_batch_stats
        return apply, *init, batches, examples, self.key


@dataclasses.dataclass(frozen=True)
class Criterion:
    """A method of pruning."""

    scores: Callable[[Evidence], Scores]  # like the params; low goes first; pure
    looks: str = "end"  # at a trained net, at one before training ("init"), or "nothing"
    one_shot: bool = False  # whether it prunes straight to a density, before training
    at_data: bool = False  # whether it needs examples
    learns: bool = False  # whether it trains scores at the init, on batches of all
    num_rounds: int = 1  # it prunes in so many steps, with new scores at each
    scope: str | None = None  # its own; None: the study's `prune.scope`


def check_real(params: Params) -> None:
    """Checks that a criterion that knows real weights alone has no others.

    Raises:
      ValueError: naming a leaf.
    """
    for path, leaf in named_leaves(params):
        if jax.numpy.iscomplexobj(leaf):
            raise ValueError(
                f"params: {path} is {leaf.dtype}; must be real, for this criterion"
            )


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
        raise NothingSaid(f"scores: all are 0, those of {name} too; they tell nothing")
