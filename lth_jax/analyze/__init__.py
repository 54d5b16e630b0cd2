"""Analyze: what a study's tickets show beyond its records, one analysis per file."""

from lth_jax.analyze import (
    connectivity,
    cost,
    movement,
    overlap,
    spectrum,
    swamp,
    transfer,
)
from lth_jax.analyze.analysis import Analysis

ANALYSES: dict[str, Analysis] = {
    "overlap": overlap.ANALYSIS,
    "connectivity": connectivity.ANALYSIS,
    "movement": movement.ANALYSIS,
    "spectrum": spectrum.ANALYSIS,
    "cost": cost.ANALYSIS,
    "swamp": swamp.ANALYSIS,
    "transfer": transfer.ANALYSIS,
}
