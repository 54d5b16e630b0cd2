"""Sets: the data sets by name."""

from collections.abc import Callable
from typing import Any

from lth_jax.data import cifar, idx, mnist1d
from lth_jax.data.arrays import from_arrays
from lth_jax.data.published import published
from lth_jax.data.source import DataError, Source
from lth_jax.registry import Registry

Loader = Callable[[str | None], Source]  # the folder of the raw files, if given


def without_raw_files(make: Callable[[], Source]) -> Loader:
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
    """The loader of a function without arguments, to a `Source` or to four arrays."""
    if not callable(found):
        raise TypeError("must be a function without arguments, to a Source or to arrays")

    def make() -> Source:
        made = found()
        if not isinstance(made, Source):
            return from_arrays(made)
        source = from_arrays((*made.train, *made.test))
        note = made.note or source.note
        return source._replace(num_outputs=made.num_outputs, note=note)

    return without_raw_files(make)


DATA_SETS: Registry[Loader] = Registry(
    "data set",
    {
        "mnist1d": without_raw_files(mnist1d.make),
        "mnist": published("mnist", idx.MNIST),
        "fashion_mnist": published("fashion_mnist", idx.FASHION_MNIST),
        "cifar10": published("cifar10", cifar.CIFAR10),
        "cifar100": published("cifar100", cifar.CIFAR100),
    },
    _own,
)
