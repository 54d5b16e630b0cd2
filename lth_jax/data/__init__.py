"""Data: sources of examples. Nothing heavy is imported until a set is loaded."""

from lth_jax.data.loading import load
from lth_jax.data.source import (
    DataError,
    Normalization,
    Source,
    Split,
    channel_statistics,
    hold_out,
)

__all__ = [
    "DataError",
    "Normalization",
    "Source",
    "Split",
    "channel_statistics",
    "hold_out",
    "load",
]
