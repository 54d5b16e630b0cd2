"""Overlap: whether masks keep the same weights, against what chance gives.

The measure is intersection over union. Two random masks share weights too; what they
share on average is worked out from their counts alone, exactly.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats


class Overlap(NamedTuple):
    """Of two masks of one layer: intersection over union, from 0 to 1."""

    found: float
    chance: float  # the mean of random masks that keep as many weights each

    @property
    def excess(self) -> float:
        """0 where the masks share what chance gives, 1 where they are the same."""
        return (self.found - self.chance) / (1 - self.chance) if self.chance < 1 else 0.0


def overlap(first: np.ndarray, second: np.ndarray) -> Overlap:
    """Of two masks, bool of one shape; two that keep nothing are the same.

    Raises:
      ValueError: if their shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"masks of shapes {first.shape} and {second.shape}")
    shared, either = int((first & second).sum()), int((first | second).sum())
    found = shared / either if either else 1.0
    return Overlap(found, chance(int(first.sum()), int(second.sum()), first.size))


def chance(num_first: int, num_second: int, size: int) -> float:
    """The mean overlap of random masks of so many places that keep so many of them.

    What they share has a hypergeometric distribution.
    """
    if not num_first + num_second:
        return 1.0
    law = stats.hypergeom(size, num_first, num_second)
    least, most = law.support()
    shared = np.arange(least, most + 1)
    return float(np.sum(law.pmf(shared) * shared / (num_first + num_second - shared)))


def overlaps(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]
) -> dict[str, Overlap]:
    """Of two nets' masks by the layer's path; see `overlap`."""
    return {name: overlap(mask, second[name]) for name, mask in first.items()}
