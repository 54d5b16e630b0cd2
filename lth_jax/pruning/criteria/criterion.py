"""Criterion: how weights are scored, and when."""

import dataclasses
from collections.abc import Callable

from lth_jax.masks import Params
from lth_jax.pruning.criteria.evidence import Evidence


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

    scores: Callable[[Evidence], Params]
    looks: str = "end"
    one_shot: bool = False
    at_data: bool = False
    learns: bool = False
    num_rounds: int = 1
    scope: str | None = None
