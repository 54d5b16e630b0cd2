"""Criterion: how weights are scored, and when."""

import dataclasses
from collections.abc import Callable

from lth_jax.core.masks import Params
from lth_jax.criteria.evidence import Evidence


@dataclasses.dataclass(frozen=True)
class Criterion:
    """A method of pruning.

    Attributes:
      scores: evidence to float leaves like the params, of which low goes first; pure.
      looks: "end", at a trained net, after every level; or "init", at the net before
        training, which is pruned straight to each density.
      at_data: whether it needs examples.
      num_rounds: in how many steps it prunes, with scores of what is left at each.
    """

    scores: Callable[[Evidence], Params]
    looks: str = "end"
    at_data: bool = False
    num_rounds: int = 1
