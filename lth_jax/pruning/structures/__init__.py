"""Structures: groups of weights that are removed together, by the rules of `prune`.

Each group of weights is one entry of a small pytree, and `prune` removes its entries.
"""

from lth_jax.masks import Masks
from lth_jax.pruning.structures.blocks import blocks, prune_blocks
from lth_jax.pruning.structures.n_of_m import keep_n_of_m, n_of_m
from lth_jax.pruning.structures.structure import Request, Structure
from lth_jax.pruning.structures.units import prune_units, units
from lth_jax.pruning.weights import prune
from lth_jax.registry import Registry, callables
from lth_jax.removal import Scores


def weights(scores: Scores, masks: Masks, level: int, request: Request) -> Masks:
    """The masks of `prune`, which removes single weights."""
    return prune(scores, masks, request.fraction, floor=request.floor, **request.how)


STRUCTURES: Registry[Structure] = Registry(
    "structure",
    {"weights": weights, "units": units, "blocks": blocks, "n_of_m": n_of_m},
    callables("needs a function of scores, masks, level and request"),
)

__all__ = [
    "STRUCTURES",
    "Request",
    "Structure",
    "keep_n_of_m",
    "prune_blocks",
    "prune_units",
]
