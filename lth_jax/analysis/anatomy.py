"""Anatomy: where in the net a study's masks keep weights."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lth_jax import masks
from lth_jax.models import OUTPUT_LAYER


class FirstLayer(NamedTuple):
    """What a level keeps of the layer that sees the input.

    `kept` is of a dense layer, for every input, the share of its weights kept, mean over
    the replicates, float64 [*input_shape]; of a convolution the first replicate's kept
    input channels of every filter and place, int64 [filters, height, width].
    """

    name: str
    kept: np.ndarray
    is_convolution: bool


class Anatomy(NamedTuple):
    """What the masks of one level keep, means over the replicates."""

    level: int
    density: float  # of all the net's prunable weights together
    layers: dict[str, float]  # of each prunable leaf, by path, in the net's order
    first: FirstLayer | None  # None where it cannot be laid out


def anatomy(found: Mapping[str, np.ndarray], provenance: Mapping[str, Any]) -> Anatomy:
    """Of a level's masks, bool[R, ...] by path, with their ticket file's provenance."""
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
    """Orders paths as the nets have them: numbers by size, the output last."""
    parts = re.findall(r"(\D*)(\d*)", name)
    return name.startswith(f"{OUTPUT_LAYER}/"), [(a, int(b or 0)) for a, b in parts]


def _first_layer(
    name: str, mask: np.ndarray, input_shape: Sequence[int]
) -> FirstLayer | None:
    """Of a dense layer of all inputs or a 2D convolution of theirs, else None."""
    on_images = mask.ndim == 5 and len(input_shape) == 3
    if on_images and mask.shape[3] == input_shape[-1]:  # [R, height, width, channels, _]
        return FirstLayer(name, mask[0].sum(axis=2).transpose(2, 0, 1), True)
    if mask.ndim != 3 or mask.shape[1] != math.prod(input_shape):
        return None
    kept = np.squeeze(mask.mean(axis=(0, 2)).reshape(input_shape))
    return FirstLayer(name, kept, False) if 1 <= kept.ndim <= 3 else None
