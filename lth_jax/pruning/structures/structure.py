"""Structure: a function that removes groups of weights, and the request to it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Bool, Float

from lth_jax.layout import Layout
from lth_jax.masks import Masks, Prunable, default_prunable
from lth_jax.pruning import weights as pruning
from lth_jax.pruning.weights import Fraction
from lth_jax.removal import Scores
from lth_jax.training.state import Array


@dataclasses.dataclass(frozen=True)
class Request:
    """How much of a net a level removes, by the study's config."""

    # These four are as for `prune`.
    fraction: Fraction
    scope: str = "layerwise"
    prunable: Prunable = default_prunable
    floor: int = 1
    layout: Layout | None = None  # the net's `layout()`, if it has one
    block_size: int = 1  # the side of a block
    n_of_m: tuple[str, ...] = ()  # one for each level after the first, such as "2:4"

    @property
    def how(self) -> dict[str, Any]:
        """Scope and prunable leaves, as keywords."""
        return {"scope": self.scope, "prunable": self.prunable}


# A function of scores, masks, level (from 1) and request. It prunes one member, on the
# host as `prune`, and returns masks that keep a subset of the given ones.
Structure = Callable[[Scores, Masks, int, Request], Masks]


def pooled_scores(
    scores: Float[Array, "..."], mask: Bool[Array, "..."], axes: tuple[int, ...]
) -> Float[Array, "..."]:
    """The sum of the survivors' scores; for magnitudes, the L1 norm of each group."""
    return jnp.sum(jnp.where(mask, scores, 0), axes)


def prune_groups(scores: Scores, masks: Masks, fraction: Fraction, scope: str) -> Masks:
    """`prune`, with a group of weights for each entry, and with every leaf prunable."""
    return pruning.prune(scores, masks, fraction, scope=scope, prunable=lambda *_: True)
