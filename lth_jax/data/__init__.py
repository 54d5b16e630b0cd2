"""Data: sources of examples. Heavy packages are imported only when a set is loaded."""

from lth_jax.data.arrays import from_arrays
from lth_jax.data.sets import DATA_SETS, load
from lth_jax.data.source import (
    DataError,
    Normalization,
    Source,
    Split,
    channel_statistics,
    hold_out,
)

__all__ = [
    "DATA_SETS",
    "DataError",
    "Normalization",
    "Source",
    "Split",
    "channel_statistics",
    "from_arrays",
    "hold_out",
    "load",
]
