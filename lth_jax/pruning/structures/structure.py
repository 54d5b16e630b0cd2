"""Structure: what a level removes as a whole, and what it needs to know for that."""

import dataclasses
from typing import Protocol

from lth_jax.layout import Layout
from lth_jax.masks import Masks, Prunable, default_prunable
from lth_jax.pruning.weights import Fraction
from lth_jax.removal import Scores


@dataclasses.dataclass(frozen=True)
class Request:
    """How much of a net goes, by the study's config.

    Attributes:
      fraction: of the survivors, one for all or by path of each prunable leaf.
      scope: "layerwise" or "global".
      prunable: which leaves may be pruned.
      floor: as for `prune`.
      layout: the net's `layout()`; None if it has none.
      block_size: of a block's sides.
      n_of_m: one for each level after the first, such as "2:4".
    """

    fraction: Fraction
    scope: str = "layerwise"
    prunable: Prunable = default_prunable
    floor: int = 1
    layout: Layout | None = None
    block_size: int = 1
    n_of_m: tuple[str, ...] = ()


class Structure(Protocol):
    """Prunes one member at a level, from 1; on the host, as `prune`."""

    def __call__(
        self, scores: Scores, masks: Masks, level: int, request: Request
    ) -> Masks:
        """Returns masks that are a subset of the given ones."""
