"""Loading: a data set by name into memory."""

from lth_jax.data import prepared
from lth_jax.data.arrays import read_npz
from lth_jax.data.sets import DATA_SETS, Loader, without_raw_files
from lth_jax.data.source import DataError, Source
from lth_jax.registry import UnknownName

_NPZ = "npz:"


def load(name: str, raw_dir: str | None = None) -> Source:
    """Loads a data set into memory.

    Args:
      name: "mnist1d"; "mnist", "fashion_mnist", "cifar10" or "cifar100" (prepared at
        the first use, in TFDS's data folder); "npz:FILE", a file of the arrays x_train,
        y_train, x_test, y_test; "package.module:name", a function to a `Source` or to
        these arrays; or any set that TFDS has prepared.
      raw_dir: for those prepared at the first use: where the raw files lie (the four .gz
        files; or CIFAR's binary archive, or the folder that it unpacks to). They are
        read when the set is not prepared yet, and checked in any case. CIFAR files that
        are not the official ones are a warning and the source's note; they are read from
        there every time, and never prepared.

    Raises:
      DataError: if the data are unknown, missing, damaged, or cannot be used.
    """
    return _loader(name)(raw_dir)


def _loader(name: str) -> Loader:
    if name.startswith(_NPZ):
        return without_raw_files(lambda: read_npz(name.removeprefix(_NPZ)))
    if ":" not in name and name not in DATA_SETS:
        return without_raw_files(lambda: prepared.read(prepared.find(name, DATA_SETS)))
    try:
        return DATA_SETS.find(name)
    except UnknownName as error:
        raise DataError(f"data.name: {error}") from None
