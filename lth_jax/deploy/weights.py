"""Weights: a compact net as one file, which needs only NumPy to read.

`numpy.load("weights.npz")` has, for every leaf of the params and statistics:

- `weights/<path>`: float32, 0 where pruned;
- `mask/<path>`: uint8[ceil(size / 8)], the mask bit-packed in C order (`np.packbits`);
- `statistics/<path>`: float32, the running statistics of batch normalisation.

These turn inputs as stored into those that the first layer reads:

- `inputs/mean`, `inputs/std`: float32[C]; subtract the mean from each channel, then
  divide by the standard deviation;
- `inputs/kept`: int64, only if the net does not read all inputs: the features of the
  flattened inputs, or the channels, that it reads.

`provenance` is a JSON text.
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
    """Returns the file of a net, with its inputs' normalization and its provenance.

    The provenance must be JSON-serialisable.
    """
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
    """Returns the provenance in such a file.

    Raises:
      NpzError, ValueError: if there is none.
    """
    with npz.opened(io.BytesIO(content)) as arrays:
        found = json.loads(str(arrays.read("provenance")))
    if not isinstance(found, dict):
        raise ValueError(f"provenance: {found!r}; must be an object")
    return found
