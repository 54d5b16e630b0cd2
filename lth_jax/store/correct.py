"""Correct: which test examples each member got right, one small file an arm and level.

NumPy alone can read a file. It holds `num_examples`, and the bits of `early_stop` and
`final`, each uint8[R, ceil(N / 8)] by `np.packbits`, in the order of replicates. It lies
beside the records of its arm and level. There is none for a loss without right and wrong
answers.
"""

import io
import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lth_jax import npz
from lth_jax.npz import NpzError
from lth_jax.store.files import DamagedFile, is_lost, read_sealed, write_sealed
from lth_jax.store.records import RecordsError, Run, by_group

_ROUNDING = 1e-6  # the error of float32 accuracies
_log = logging.getLogger(__name__)


class Correct(NamedTuple):
    """The answers of an arm's R replicates at a level, bool[R, N]: True where right."""

    early_stop: np.ndarray
    final: np.ndarray


def path_of(folder: pathlib.Path, arm: str, level: int) -> pathlib.Path:
    """Returns the path of the file of one arm at one level."""
    return folder / f"level_{level:02d}-{arm}.correct.npz"


def write(path: pathlib.Path, correct: Correct) -> None:
    """Writes the answers of one arm and level; the .npz file appears whole."""
    arrays: dict[str, Any] = {"num_examples": np.array(correct.final.shape[1])}
    arrays |= {name: np.packbits(x, axis=1) for name, x in correct._asdict().items()}
    file = io.BytesIO()
    np.savez(file, **arrays)
    write_sealed(path, file.getvalue())


def read(folder: pathlib.Path, runs: Sequence[Run]) -> dict[tuple[str, int], Correct]:
    """Returns the answers that belong to some records, by arm and level.

    It leaves out missing files. With a warning it also leaves out damaged files, and
    files whose members are not those of the records.
    """
    found = {}
    for (arm, level), mine in by_group(runs).items():
        path = path_of(folder, arm, level)
        try:
            if path.exists() or is_lost(path):
                found[arm, level] = _checked(_read_file(path), mine)
        except (FileNotFoundError, DamagedFile) as error:
            told = "%s; its intervals over test examples are left out, and the study's"
            _log.warning(f"{told} command makes it again", error)
        except (NpzError, ValueError, TypeError, KeyError) as error:
            told = "%s: not the answers of these records (%s); its intervals are left out"
            _log.warning(told, path, error)
    return found


def merged(
    shards: Sequence[Mapping[tuple[str, int], Correct]],
) -> dict[tuple[str, int], Correct]:
    """Returns a study's answers from those of its shards, in order of replicates.

    An arm and level that some shard lacks is left out.

    Raises:
      RecordsError: if shards have different numbers of test examples.
    """
    found = {}
    for key in shards[0]:
        parts = [shard[key] for shard in shards if key in shard]
        if len(parts) == len(shards):
            sizes = {part.final.shape[1] for part in parts}
            if len(sizes) > 1:
                told = " and ".join(map(str, sorted(sizes)))
                raise RecordsError(
                    f"arm {key[0]}, level {key[1]}: of {told} test examples in different"
                    " shards; they are not of one study"
                )
            found[key] = Correct(*map(np.concatenate, zip(*parts, strict=True)))
    return found


def _read_file(path: pathlib.Path) -> Correct:
    with npz.opened(io.BytesIO(read_sealed(path))) as arrays:
        number = arrays.read("num_examples").item()
        bits = [arrays.read(name) for name in Correct._fields]
    if any(x.dtype != np.uint8 or x.ndim != 2 for x in bits):
        raise ValueError("bits of another kind")
    if any(8 * x.shape[1] != number + -number % 8 for x in bits):
        raise ValueError(f"not of {number} examples")
    return Correct(*(np.unpackbits(x, axis=1, count=number).astype(bool) for x in bits))


def _checked(correct: Correct, runs: Sequence[Run]) -> Correct:
    """Returns the answers if as many are right as the records say."""
    ordered = sorted(runs, key=lambda run: run.replicate)
    said = [run.curves["test", "early_stop_accuracy"].values[0] for run in ordered]
    shares = correct.early_stop.mean(1)
    if shares.shape != (len(said),) or np.abs(shares - said).max() > _ROUNDING:
        raise ValueError("not as many are right")
    if correct.final.shape != correct.early_stop.shape:
        raise ValueError("of unlike shapes")
    return correct
