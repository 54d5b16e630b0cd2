"""Ticket files: a level's tickets, portable, readable with NumPy alone.

`numpy.load("level_03.npz")` gives, for every leaf of the params (leading axis R, the
replicates):

- `weights/<path>`: float32[R, ...], the weights the level starts from, 0 where pruned;
- `mask/<path>`: uint8[R, ceil(size / 8)], the mask bit-packed in C order (`np.packbits`);

and `provenance`, a JSON text: level, rewind step, config, package version, the shape of
an input, and that of every mask.
"""

import functools
import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax.traverse_util import unflatten_dict

from lth_jax import masks as masks_lib
from lth_jax.masks import Masks, Params
from lth_jax.store.files import whole


def save(
    path: pathlib.Path, params: Params, masks: Masks, provenance: dict[str, Any]
) -> None:
    """Writes the tickets of all replicates at one level; the .npz file appears whole.

    Params are the weights that the level starts from; they and the masks have a leading
    axis R. Provenance is what can be written as JSON.
    """
    weights, kept = map(masks_lib.named_leaves, jax.device_get((params, masks)))
    shapes = {name: mask.shape[1:] for name, mask in kept}
    written = json.dumps({**provenance, "shapes": shapes})
    arrays: dict[str, Any] = {"provenance": np.array(written)}
    arrays |= {f"weights/{name}": leaf for name, leaf in weights}
    for name, mask in kept:
        arrays[f"mask/{name}"] = np.packbits(mask.reshape(len(mask), -1), axis=1)
    with whole(path) as unfinished:
        np.savez_compressed(unfinished, **arrays)


def load(path: pathlib.Path, replicate: int) -> tuple[Params, Masks, dict[str, Any]]:
    """One replicate's ticket: params and masks as nested dicts, and its provenance.

    Raises:
      IndexError: if there is no such replicate.
    """
    params, masks = {}, {}
    with np.load(path) as arrays:
        provenance: dict[str, Any] = json.loads(str(arrays["provenance"]))
        for name, shape in provenance["shapes"].items():
            params[name] = arrays[f"weights/{name}"][replicate]
            masks[name] = _unpacked(arrays[f"mask/{name}"][replicate], shape)
    nested = functools.partial(unflatten_dict, sep="/")
    return nested(params), nested(masks), provenance


def load_masks(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """All replicates' masks by path, bool[R, ...], and the provenance; no weights."""
    with np.load(path) as arrays:
        provenance: dict[str, Any] = json.loads(str(arrays["provenance"]))
        masks = {
            name: _unpacked(arrays[f"mask/{name}"], shape)
            for name, shape in provenance["shapes"].items()
        }
    return masks, provenance


def _unpacked(bits: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The masks bool[..., *shape] of bits uint8[..., ceil(size / 8)]."""
    masks = np.unpackbits(bits, axis=-1, count=math.prod(shape)).astype(bool)
    return masks.reshape(*bits.shape[:-1], *shape)
