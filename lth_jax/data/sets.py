"""Sets: the data sets by name, and how one is loaded into memory."""

import inspect
from collections.abc import Callable
from typing import Any

from lth_jax.data import cifar, idx, mnist1d, prepared
from lth_jax.data.arrays import from_arrays, read_npz
from lth_jax.data.published import published
from lth_jax.data.source import DataError, Source
from lth_jax.registry import Registry, UnknownName

Loader = Callable[[str | None], Source]  # takes the folder of the raw files, or None
_NPZ = "npz:"


def load(name: str, raw_dir: str | None = None) -> Source:
    """Loads a data set into memory.

    Args:
      name: "mnist1d"; "mnist", "fashion_mnist", "cifar10" or "cifar100" (prepared at
        the first use, in TFDS's data folder); "npz:FILE", a file of the arrays x_train,
        y_train, x_test, y_test; "package.module:name", a function that returns a
        `Source` or these arrays; or any set that TFDS has prepared.
      raw_dir: the folder of the raw files, for sets that are prepared at the first use:
        the four .gz files; or CIFAR's binary archive, or the folder that it unpacks to.
        The files are always checked, and the set is prepared from them if it is not yet.
        CIFAR files that are not official cause a warning, and the source has a note. They
        are read from this folder every time, and never prepared.

    Raises:
      DataError: if the data are unknown, missing, damaged, or cannot be used.
    """
    try:
        if name.startswith(_NPZ):
            loader = _without_raw_files(lambda: read_npz(name.removeprefix(_NPZ)))
        elif ":" in name or name in DATA_SETS:
            loader = DATA_SETS.find(name)
        else:
            loader = _without_raw_files(lambda: prepared.load(name, DATA_SETS))
    except UnknownName as error:
        raise DataError(f"data.name: {error}") from None
    return loader(raw_dir)


def _without_raw_files(make: Callable[[], Source]) -> Loader:
    """The loader of data that have no raw files."""

    def load(raw_dir: str | None) -> Source:
        if raw_dir is not None:
            raise DataError(
                f"data.raw_dir: {raw_dir!r} is not allowed; must be left out for data"
                " that have no raw files"
            )
        return make()

    return load


def _own(found: Any) -> Loader:
    """The loader of a function that takes nothing and returns a `Source` or arrays."""
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError):
        raise TypeError(
            "must be a function without arguments, to a Source or to arrays"
        ) from None

    def make() -> Source:
        made = found()
        if not isinstance(made, Source):
            return from_arrays(made)
        if not isinstance(made.train, tuple) or not isinstance(made.test, tuple):
            raise DataError("data: train and test of a Source must be a Split each")
        source = from_arrays((*made.train, *made.test), made.num_outputs)
        return source._replace(note=made.note or source.note)

    return _without_raw_files(make)


DATA_SETS: Registry[Loader] = Registry(
    "data set",
    {
        "mnist1d": _without_raw_files(mnist1d.make),
        "mnist": published("mnist", idx.MNIST),
        "fashion_mnist": published("fashion_mnist", idx.FASHION_MNIST),
        "cifar10": published("cifar10", cifar.CIFAR10),
        "cifar100": published("cifar100", cifar.CIFAR100),
    },
    _own,
)
