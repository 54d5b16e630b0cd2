"""Ticket files: a level's tickets, portable, readable with NumPy alone.

`numpy.load("level_03.npz")` returns, for every leaf of the params (leading axis R, the
replicates):

- `weights/<path>`: float32[R, ...], the weights the level starts from, 0 where pruned;
- `mask/<path>`: uint8[R, ceil(size / 8)], the mask bit-packed in C order (`np.packbits`);

and `provenance`, a JSON text. It holds level, rewind step, config, package version, the
number of the first replicate, an input's shape, and the shapes and dtypes of the leaves.
"""

import contextlib
import io
import json
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from operator import index
from typing import Any

import jax
import numpy as np
from flax.traverse_util import unflatten_dict

from lth_jax import masks as masks_lib
from lth_jax import npz
from lth_jax.errors import UserError
from lth_jax.masks import Masks, Params
from lth_jax.npz import Arrays, Header, NpzError
from lth_jax.store.files import DamagedFile, read_sealed, write_sealed


def save(
    path: pathlib.Path, params: Params, masks: Masks, provenance: dict[str, Any]
) -> None:
    """Writes the tickets of all replicates at one level; the .npz file appears whole.

    Params are the weights that the level starts from. Params and masks have a leading
    axis R. JSON must be able to hold the provenance.
    """
    weights, kept = map(masks_lib.named_leaves, jax.device_get((params, masks)))
    shapes = {name: mask.shape[1:] for name, mask in kept}
    dtypes = {name: str(leaf.dtype) for name, leaf in weights}
    written = json.dumps({**provenance, "shapes": shapes, "dtypes": dtypes})
    arrays: dict[str, Any] = {"provenance": np.array(written)}
    arrays |= {f"weights/{name}": leaf for name, leaf in weights}
    for name, mask in kept:
        arrays[f"mask/{name}"] = np.packbits(mask.reshape(len(mask), -1), axis=1)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    write_sealed(path, file.getvalue())


class NoReplicate(UserError, IndexError):
    """A replicate that a ticket file does not hold."""


def load(path: pathlib.Path, replicate: int) -> tuple[Params, Masks, dict[str, Any]]:
    """Returns one replicate's ticket: params and masks as nested dicts, and provenance.

    In a shard, replicates keep their numbers in the study, such as 10 to 14.

    Raises:
      FileNotFoundError: if there is no such file.
      NoReplicate: if the file has no such replicate.
      DamagedFile: if the file is not as it was written.
    """
    with _opened(path) as (arrays, leaves, provenance):
        first = provenance.get("first_replicate", 0)
        there_are = range(first, first + _num_replicates(arrays.headers))
        if replicate not in there_are:
            allowed = f"from {first} to {there_are.stop - 1}"
            raise NoReplicate(f"{path}: replicate {replicate}; must be {allowed}")
        at = there_are.index(replicate)
        params = {
            name: arrays.read(f"weights/{name}").view(leaf.dtype)[at]
            for name, leaf in leaves.items()
        }
        masks = {
            name: _unpacked(arrays.read(f"mask/{name}")[at], leaf.shape)
            for name, leaf in leaves.items()
        }
        return _nested(params), _nested(masks), provenance


def load_masks(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns all replicates' masks by path, bool[R, ...], and the provenance.

    Raises what `load` does.
    """
    with _opened(path) as (arrays, leaves, provenance):
        masks = {
            name: _unpacked(arrays.read(f"mask/{name}"), leaf.shape)
            for name, leaf in leaves.items()
        }
    return masks, provenance


def load_all(
    path: pathlib.Path,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns all weights and masks by path, [R, ...]; raises what `load` does."""
    with _opened(path) as (arrays, leaves, _):
        weights = {
            name: arrays.read(f"weights/{name}").view(leaf.dtype)
            for name, leaf in leaves.items()
        }
        masks = {
            name: _unpacked(arrays.read(f"mask/{name}"), leaf.shape)
            for name, leaf in leaves.items()
        }
    return weights, masks


def merged(shards: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns the masks of all replicates, bool[R, ...], from those of shards, in order.

    Raises:
      ValueError: if their leaves or shapes differ.
    """
    if any(shard.keys() != shards[0].keys() for shard in shards):
        raise ValueError("masks of other leaves than another shard's")
    return {name: np.concatenate([x[name] for x in shards]) for name in shards[0]}


@contextlib.contextmanager
def _opened(
    path: pathlib.Path,
) -> Iterator[tuple[Arrays, dict[str, Header], dict[str, Any]]]:
    """Yields its checked arrays, one replicate's leaves by name, and the provenance."""
    content = io.BytesIO(read_sealed(path))
    try:
        with npz.opened(content) as arrays:
            provenance, leaves = _read_provenance(arrays)
            _check_headers(arrays.headers, leaves)
            yield arrays, leaves, provenance
    except NpzError as error:
        raise DamagedFile(f"{path}: damaged ({error})") from None


def _num_replicates(headers: Mapping[str, Header]) -> int:
    return next((x.shape[0] for x in headers.values() if x.shape), 0)


def _read_provenance(arrays: Arrays) -> tuple[dict[str, Any], dict[str, Header]]:
    """The provenance, and the leaves of one replicate that it lists, by name."""
    try:
        provenance = json.loads(str(arrays.read("provenance")))
        index(provenance.get("first_replicate", 0))
        return provenance, {
            name: Header(np.dtype(provenance["dtypes"][name]), tuple(map(index, shape)))
            for name, shape in provenance["shapes"].items()
        }
    # NumPy parses a dtype such as "float32,(" as Python, hence the SyntaxError.
    except (ValueError, TypeError, KeyError, AttributeError, SyntaxError) as error:
        raise NpzError(f"its provenance is not that of tickets; {error!r}") from None


def _check_headers(headers: dict[str, Header], leaves: dict[str, Header]) -> None:
    """Raises an `NpzError` if arrays are not those that the provenance lists."""
    kinds = ("weights", "mask")
    names = {"provenance", *(f"{kind}/{name}" for kind in kinds for name in leaves)}
    if not leaves or headers.keys() != names:
        raise NpzError("its arrays are not those of its provenance")
    replicates = _num_replicates(headers)
    for name, leaf in leaves.items():
        size = math.prod(leaf.shape)
        mask = Header(np.dtype(np.uint8), (replicates, -(-size // 8)))
        weights = headers[f"weights/{name}"]
        # NumPy writes dtypes that it does not know, such as bfloat16, as bytes.
        is_known = weights.dtype in (leaf.dtype, np.dtype(f"V{leaf.dtype.itemsize}"))
        has_shape = weights.shape == (replicates, *leaf.shape)
        if not (is_known and has_shape and headers[f"mask/{name}"] == mask):
            raise NpzError(f"{name} is not as its provenance has it")


def _nested(leaves: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = unflatten_dict(leaves, sep="/")  # type: ignore[no-untyped-call]
    return nested


def _unpacked(bits: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The masks bool[..., *shape] of bits uint8[..., ceil(size / 8)]."""
    masks = np.unpackbits(bits, axis=-1, count=math.prod(shape)).astype(bool)
    return masks.reshape((*bits.shape[:-1], *shape))
