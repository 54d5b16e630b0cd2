"""Weights: a compact net as one file that NumPy alone reads.

`numpy.load("weights.npz")` gives, for every leaf of the params and statistics:

- `weights/<path>`: float32, 0 where pruned;
- `mask/<path>`: uint8[ceil(size / 8)], the mask bit-packed in C order (`np.packbits`);
- `statistics/<path>`: float32, the running statistics of batch normalisation;

how inputs as stored become those that the first layer reads:

- `inputs/mean`, `inputs/std`: float32[C], subtracted from and dividing each channel;
- `inputs/kept`: int64, where not all are read: which features of the flattened inputs,
  or which channels;

and `provenance`, a JSON text.
"""

import io
import json
from typing import Any

import jax
import numpy as np

from lth_jax import npz
from lth_jax.data import Normalization
from lth_jax.masks import named_leaves
from lth_jax.shrinking.compact import Compact


def as_bytes(
    net: Compact, normalization: Normalization, provenance: dict[str, Any]
) -> bytes:
    """The file of a net, with the normalization of its inputs and JSON's provenance."""
    params, masks, stats = jax.device_get((net.params, net.masks, net.batch_stats))
    arrays = {
        "provenance": np.array(json.dumps(provenance)),
        "inputs/mean": normalization.mean,
        "inputs/std": normalization.std,
        **{f"weights/{path}": leaf for path, leaf in named_leaves(params)},
        **{f"mask/{path}": np.packbits(leaf) for path, leaf in named_leaves(masks)},
        **{f"statistics/{path}": leaf for path, leaf in named_leaves(stats)},
    }
    if net.inputs.kept is not None:
        arrays["inputs/kept"] = net.inputs.kept
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def provenance_of(content: bytes) -> dict[str, Any]:
    """The provenance in such a file.

    Raises:
      NpzError, ValueError: if it has none.
    """
    with npz.opened(io.BytesIO(content)) as arrays:
        found = json.loads(str(arrays.read("provenance")))
    if not isinstance(found, dict):
        raise ValueError(f"provenance: {found!r}; must be an object")
    return found
