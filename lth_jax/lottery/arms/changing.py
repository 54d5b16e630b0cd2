"""Changing: arms whose masks change while they train, from the original init."""

from lth_jax import masks as masks_lib
from lth_jax.lottery.arms.arm import Arm, Colour, Origin, Rules, Start
from lth_jax.training import connections
from lth_jax.training.rewinding import rewind


def start_dense(origin: Origin, rules: Rules) -> Start:
    """The init with full masks, which training prunes later (Zhu & Gupta 2017)."""
    full = masks_lib.full(origin.initial.params)
    return Start(rewind(origin.initial, full, rules.tx), full)


def start_sparse(origin: Origin, rules: Rules) -> Start:
    """The init under random masks (Mocanu et al. 2018, Evci et al. 2020)."""
    counts = origin.counts
    if counts is None:
        counts = connections.kept_counts(origin.masks)
    drawn = connections.draw(
        origin.mask_key, origin.initial.params, counts, rules.prunable
    )
    return Start(rewind(origin.initial, drawn, rules.tx), drawn)


ARMS = {
    "gradual": Arm(
        start_dense,
        "gradual",
        "the dense init, pruned while it trains",
        Colour("#6a3d1f", "#6a3d1f", "#b07d5a"),
        dynamics="gradual",
    ),
    "set": Arm(
        start_sparse,
        "set",
        "SET, which trains sparse from the start",
        Colour("#3a9d9d", "#2c8a8a", "#6fd3d3"),
        dynamics="set",
        draws_connections=True,
    ),
    "rigl": Arm(
        start_sparse,
        "rigl",
        "RigL, which trains sparse from the start",
        Colour("#c2185b", "#c2185b", "#ff7aa8"),
        dynamics="rigl",
        draws_connections=True,
    ),
}
