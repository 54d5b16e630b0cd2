"""Weight histograms: how the surviving weights of a level are spread, start and end.

One file a level, readable with NumPy alone: for every prunable leaf, `edges/<path>`,
`start/<path>` and `end/<path>`, as `Histogram` has them.
"""

import io
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax import npz
from lth_jax.masks import Masks, Params, Prunable
from lth_jax.npz import Header, NpzError
from lth_jax.store.files import DamagedFile, read_sealed, write_sealed

_NUM_BINS = 80


class Histogram(NamedTuple):
    """Counts of one leaf's surviving weights, pooled over the replicates."""

    edges: np.ndarray  # float64[B + 1], of bins about 0 that hold all weights
    start: np.ndarray  # int64[B], when the level begins
    end: np.ndarray  # int64[B], when it ends


def save(
    path: pathlib.Path, start: Params, end: Params, masks: Masks, prunable: Prunable
) -> None:
    """Writes the histograms of one level; the .npz file appears whole.

    `start` and `end` are the params with which the level begins and ends; what `masks`
    prune is not counted. All have a leading axis R. `prunable` says of which leaves.
    """
    start, end, masks = jax.device_get((start, end, masks))
    starts, ends, kept = (dict(masks_lib.named_leaves(x)) for x in (start, end, masks))
    first = jax.tree.map(lambda x: x[0], start)  # prunable asks of one net's leaves
    arrays: dict[str, Any] = {}
    for name, _ in masks_lib.prunable_leaves(first, prunable):
        weights = [leaves[name][kept[name]] for leaves in (starts, ends)]
        most = max(float(np.abs(x).max(initial=0)) for x in weights)
        edges = np.linspace(-most or -1.0, most or 1.0, _NUM_BINS + 1)
        found = Histogram(edges, *(np.histogram(x, edges)[0] for x in weights))
        arrays |= {f"{key}/{name}": x for key, x in found._asdict().items()}
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    write_sealed(path, file.getvalue())


def load(path: pathlib.Path) -> dict[str, Histogram]:
    """The histograms of one level, by leaf.

    Raises:
      FileNotFoundError: if there is no such file.
      DamagedFile: if it is not what was written.
    """
    content = io.BytesIO(read_sealed(path))
    kinds = {"edges": (np.float64, 1), "start": (np.int64, 0), "end": (np.int64, 0)}
    try:
        with npz.opened(content) as arrays:
            names = [key.partition("/")[2] for key in arrays.headers]
            allowed = {
                f"{field}/{name}": Header(np.dtype(dtype), (_NUM_BINS + more,))
                for name in names
                for field, (dtype, more) in kinds.items()
            }
            if not names or arrays.headers != allowed:
                raise NpzError("its arrays are not those of histograms")
            return {
                name: Histogram(*(arrays.read(f"{field}/{name}") for field in kinds))
                for name in dict.fromkeys(names)
            }
    except NpzError as error:
        raise DamagedFile(f"{path}: {error}") from None
