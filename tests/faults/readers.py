"""Readers: any bytes give what was written, or the project's error, in bounded memory."""

import contextlib
import importlib
import pathlib
import random
import resource
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from faults.outcomes import Case, Outcome, Trial
from faults.study import Bench

MOST_BYTES = 512 * 2**20  # more memory than a reader of a small file may take
MOST_SECONDS = 20

# By name: what each reads, and the module that has a function of that name.
READERS = {
    "records": ("records", "read_workdirs"),
    "tickets": ("tickets", "read_workdirs"),
    "histograms": ("weight histograms", "read_workdirs"),
    "config": ("config.json", "read_workdirs"),
    "environment": ("environment.json", "read_workdirs"),
    "package": ("a deployed folder", "read_packages"),
    "idx": ("IDX files", "read_data"),
    "cifar": ("CIFAR archives and files", "read_data"),
    "npz": (".npz data", "read_data"),
    "flags": ("the command line", "read_flags"),
}


class Reader(NamedTuple):
    """What reads an input, and what it may give."""

    mutate: Callable[[random.Random], str]  # writes an input; says what it did
    read: Callable[[], Any]
    is_good: Callable[[Any], bool]  # whether what it gives is what it says it gives


def fuzzer(name: str, bench: Bench, folder: pathlib.Path) -> Callable[[Case], Trial]:
    """What tries one input of a reader."""
    from faults.inside import TooLong, at_most
    from lth_jax.errors import UserError

    module = importlib.import_module(f"faults.{READERS[name][1]}")
    reader: Reader = getattr(module, name)(bench, folder)

    def attempt(case: Case) -> Trial:
        did = reader.mutate(case.rng)
        try:
            with _strictly(), limited_memory(MOST_BYTES), at_most(MOST_SECONDS):
                found = reader.read()
                is_good = reader.is_good(found)
        except UserError as error:
            if len(lines := str(error).splitlines()) == 1:
                return Trial(Outcome.CLEAR_ERROR, did)
            return Trial(Outcome.FELL_SHORT, did, f"{len(lines)} lines: {lines[:1]}")
        except (Exception, TooLong) as error:
            told = f"{type(error).__name__}: {str(error)[:200]!r}"
            return Trial(Outcome.FELL_SHORT, did, told)
        if not is_good:
            return Trial(Outcome.FELL_SHORT, did, f"gave a {type(found).__name__}")
        return Trial(Outcome.IDENTICAL, did)

    return attempt


@contextlib.contextmanager
def _strictly() -> Iterator[None]:
    """A library's warning that a user would see is no word of the project's."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for hidden in (DeprecationWarning, ResourceWarning):
            warnings.simplefilter("ignore", hidden)
        yield


@contextlib.contextmanager
def limited_memory(more: int) -> Iterator[None]:
    """Lets the process take no more than so many bytes beside what it has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    size = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
