"""Anatomy: how many weights a study's masks keep for each layer and input."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lth_jax import masks
from lth_jax.models import OUTPUT_LAYER


class FirstLayer(NamedTuple):
    """The weights that a level keeps in the layer that reads the input.

    For a dense layer `kept` is float64[*input_shape] without axes of size 1. It is the
    share of each input's weights that is kept, averaged over the replicates. For a
    convolution it is int64[filters, height, width]. It is the number of input channels
    that the first replicate keeps at each position of each filter.
    """

    name: str
    kept: np.ndarray
    is_convolution: bool


class Anatomy(NamedTuple):
    """The densities of one level's masks, averaged over the replicates."""

    level: int
    density: float  # of all the prunable weights together
    layers: dict[str, float]  # of each prunable leaf, by path, in the net's order
    first: FirstLayer | None  # None if it cannot be drawn


def anatomy(found: Mapping[str, np.ndarray], provenance: Mapping[str, Any]) -> Anatomy:
    """Returns the anatomy of one level's masks, bool[R, ...] by path.

    `provenance` holds the masks' `level`, and the `input_shape` of one example.
    """
    kernels = {
        name: found[name]
        for name in sorted(found, key=_depth)
        if masks.default_prunable(name, found[name][0]) or not found[name].all()
    }
    num_kept = sum(int(mask.sum()) for mask in kernels.values())
    density = num_kept / sum(mask.size for mask in kernels.values())
    layers = {name: float(mask.mean()) for name, mask in kernels.items()}
    first = _first_layer(*next(iter(kernels.items())), provenance["input_shape"])
    return Anatomy(provenance["level"], density, layers, first)


def _depth(name: str) -> tuple[bool, list[tuple[str, int]]]:
    """Returns a key for the net's order: paths by name and number, the output last."""
    parts = re.findall(r"(\D*)(\d*)", name)
    return name.startswith(f"{OUTPUT_LAYER}/"), [(a, int(b or 0)) for a, b in parts]


def _first_layer(
    name: str, mask: np.ndarray, input_shape: Sequence[int]
) -> FirstLayer | None:
    """Returns the first layer if dense or a 2D convolution of all inputs, else None."""
    on_images = mask.ndim == 5 and len(input_shape) == 3
    if on_images and mask.shape[3] == input_shape[-1]:  # [R, height, width, channels, _]
        return FirstLayer(name, mask[0].sum(axis=2).transpose(2, 0, 1), True)
    if mask.ndim != 3 or mask.shape[1] != math.prod(input_shape):
        return None
    kept = np.squeeze(mask.mean(axis=(0, 2)).reshape(input_shape))
    return FirstLayer(name, kept, False) if 1 <= kept.ndim <= 3 else None
