"""Structure: what a level removes as a whole, and what it needs to know for that."""

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
    """How much of a net goes, by the study's config."""

    fraction: Fraction  # as for `prune`, and so the next three
    scope: str = "layerwise"
    prunable: Prunable = default_prunable
    floor: int = 1
    layout: Layout | None = None  # the net's `layout()`, if it has one
    block_size: int = 1  # of a block's sides
    n_of_m: tuple[str, ...] = ()  # one for each level after the first, such as "2:4"

    @property
    def how(self) -> dict[str, Any]:
        """Scope and prunable leaves, as keywords."""
        return {"scope": self.scope, "prunable": self.prunable}


# Scores, masks, level (from 1) and request to masks that are a subset of the given ones:
# prunes one member, on the host as `prune`.
Structure = Callable[[Scores, Masks, int, Request], Masks]


def pooled_scores(
    scores: Float[Array, "..."], mask: Bool[Array, "..."], axes: tuple[int, ...]
) -> Float[Array, "..."]:
    """The sum of the survivors' scores: of magnitudes the L1 norm of each group."""
    return jnp.sum(jnp.where(mask, scores, 0), axes)


def prune_groups(scores: Scores, masks: Masks, fraction: Fraction, scope: str) -> Masks:
    """`prune`, where each entry stands for a group of weights, and every leaf may go."""
    return pruning.prune(scores, masks, fraction, scope=scope, prunable=lambda *_: True)
