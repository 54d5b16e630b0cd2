"""Ticket files: a level's tickets, portable, readable with NumPy alone.

`numpy.load("level_03.npz")` gives, for every leaf of the params (leading axis R, the
replicates):

- `weights/<path>`: float32[R, ...], the weights the level starts from, 0 where pruned;
- `mask/<path>`: uint8[R, ceil(size / 8)], the mask bit-packed in C order (`np.packbits`);

and `provenance`, a JSON text: level, rewind step, config, package version, the shape of
an input, and that of every mask.
"""

import json
import math
import pathlib
from typing import Any

import jax
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.masks import Masks, Params
from lth_jax.store.files import whole


def save(
    path: pathlib.Path, params: Params, masks: Masks, provenance: dict[str, Any]
) -> None:
    """Writes the tickets of all replicates at one level; the file appears whole.

    Args:
      path: ending in .npz.
      params: the weights the level starts from, with a leading axis R.
      masks: likewise.
      provenance: what can be written as JSON.
    """
    params, masks = jax.device_get((params, masks))
    shapes = {name: leaf.shape[1:] for name, leaf in masks_lib.named_leaves(masks)}
    arrays = {
        "provenance": np.array(json.dumps({**provenance, "shapes": shapes})),
        **{f"weights/{name}": leaf for name, leaf in masks_lib.named_leaves(params)},
        **{
            f"mask/{name}": np.packbits(leaf.reshape(len(leaf), -1), axis=1)
            for name, leaf in masks_lib.named_leaves(masks)
        },
    }
    with whole(path) as unfinished:
        np.savez_compressed(unfinished, **arrays)


def load(path: pathlib.Path, replicate: int) -> tuple[Params, Masks, dict[str, Any]]:
    """One replicate's ticket: params and masks as nested dicts, and its provenance.

    Raises:
      IndexError: if there is no such replicate.
    """
    params: Params = {}
    masks: Masks = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            kind, _, name = key.partition("/")
            if kind != "weights":
                continue
            weights = arrays[key][replicate]
            bits = arrays[f"mask/{name}"][replicate]
            mask = np.unpackbits(bits, count=weights.size).astype(bool)
            _insert(params, name, weights)
            _insert(masks, name, mask.reshape(weights.shape))
        return params, masks, json.loads(str(arrays["provenance"]))


def load_masks(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """All replicates' masks by path, bool[R, ...], and the provenance; no weights."""
    found = {}
    with np.load(path) as arrays:
        provenance: dict[str, Any] = json.loads(str(arrays["provenance"]))
        for name, shape in provenance["shapes"].items():
            bits = arrays[f"mask/{name}"]
            kept = np.unpackbits(bits, axis=1, count=math.prod(shape)).astype(bool)
            found[name] = kept.reshape(-1, *shape)
    return found, provenance


def _insert(tree: dict[str, Any], name: str, leaf: np.ndarray) -> None:
    *parents, last = name.split("/")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[last] = leaf
