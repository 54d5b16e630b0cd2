"""Weight histograms: surviving weights at the start and the end of a level.

There is one file a level, which NumPy alone can read. It holds `edges/<path>`,
`start/<path>` and `end/<path>` for every prunable leaf, as `Histogram` has them. Bins end
at multiples of a power of two: the counts of shards therefore add up to those of the
study.
"""

import io
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax import npz
from lth_jax.masks import Masks, Params, Prunable
from lth_jax.npz import Header, NpzError
from lth_jax.store.files import DamagedFile, read_sealed, write_sealed

_NUM_BINS = 128
_OLDER_NUM_BINS = 80  # an older version's bins, which ended at the largest weight
_LEAST_EXPONENT = -149  # 2 to this is the smallest positive float32


class Histogram(NamedTuple):
    """Counts of one leaf's surviving weights, pooled over the replicates."""

    edges: np.ndarray  # float64[B + 1]; bins about 0 that hold all weights
    start: np.ndarray  # int64[B], when the level begins
    end: np.ndarray  # int64[B], when it ends


def counted(
    start: Params, end: Params, masks: Masks, prunable: Prunable
) -> dict[str, Histogram]:
    """Returns the histograms of one level, by leaf.

    `start` and `end` are the params with which the level begins and ends. Weights that
    `masks` prune are not counted. All three have a leading axis R. `prunable` says which
    leaves are counted.
    """
    start, end, masks = jax.device_get((start, end, masks))
    starts, ends, kept = (dict(masks_lib.named_leaves(x)) for x in (start, end, masks))
    first = jax.tree.map(lambda x: x[0], start)  # prunable reads one net's leaves
    found = {}
    for name, _ in masks_lib.prunable_leaves(first, prunable):
        weights = [leaves[name][kept[name]] for leaves in (starts, ends)]
        most = max(float(np.abs(x).max(initial=0)) for x in weights)
        edges = _edges(math.frexp(most)[1] if most else _LEAST_EXPONENT)
        found[name] = Histogram(edges, *(np.histogram(x, edges)[0] for x in weights))
    return found


def save(
    path: pathlib.Path, start: Params, end: Params, masks: Masks, prunable: Prunable
) -> None:
    """Writes the histograms that `counted` returns; the .npz file appears whole."""
    arrays: dict[str, Any] = {
        f"{field}/{name}": x
        for name, found in counted(start, end, masks, prunable).items()
        for field, x in found._asdict().items()
    }
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    write_sealed(path, file.getvalue())


def load(path: pathlib.Path) -> dict[str, Histogram]:
    """Returns the histograms of one level, by leaf.

    Raises: FileNotFoundError: if there is no such file. DamagedFile: if the file is not
    as it was written.
    """
    content = io.BytesIO(read_sealed(path))
    kinds = {"edges": (np.float64, 1), "start": (np.int64, 0), "end": (np.int64, 0)}
    try:
        with npz.opened(content) as arrays:
            names = [key.partition("/")[2] for key in arrays.headers]
            allowed = [
                {
                    f"{field}/{name}": Header(np.dtype(dtype), (num_bins + more,))
                    for name in names
                    for field, (dtype, more) in kinds.items()
                }
                for num_bins in (_NUM_BINS, _OLDER_NUM_BINS)
            ]
            if not names or arrays.headers not in allowed:
                raise NpzError("its arrays are not those of histograms")
            return {
                name: Histogram(*(arrays.read(f"{field}/{name}") for field in kinds))
                for name in dict.fromkeys(names)
            }
    except NpzError as error:
        raise DamagedFile(f"{path}: {error}") from None


def merged(shards: Sequence[Mapping[str, Histogram]]) -> dict[str, Histogram]:
    """Returns the histograms of all replicates from those of a study's shards.

    Raises:
      ValueError: if their leaves differ, or their bins do not fit together.
    """
    if len(shards) == 1:
        return dict(shards[0])
    if any(shard.keys() != shards[0].keys() for shard in shards):
        raise ValueError("histograms of other leaves than another shard's")
    return {name: _sum([shard[name] for shard in shards]) for name in shards[0]}


def _edges(exponent: int) -> np.ndarray:
    """The float64 edges of bins from minus two to plus two, to this power."""
    most = math.ldexp(1.0, exponent)
    return np.linspace(-most, most, _NUM_BINS + 1)


def _sum(parts: Sequence[Histogram]) -> Histogram:
    """Counts in the widest bins, each of which holds whole bins of the others."""
    exponents = [math.frexp(part.edges[-1])[1] - 1 for part in parts]
    edges = _edges(max(exponents))
    bins = np.arange(_NUM_BINS) - _NUM_BINS // 2
    counts = np.zeros((2, _NUM_BINS), np.int64)
    for exponent, part in zip(exponents, parts, strict=True):
        if not np.array_equal(part.edges, _edges(exponent)):
            raise ValueError("bins of an older version, which cannot be added up")
        wider = np.floor(np.ldexp(bins, exponent - max(exponents))).astype(int)
        for total, own in zip(counts, part[1:], strict=True):
            np.add.at(total, wider + _NUM_BINS // 2, own)
    return Histogram(edges, *counts)
