"""How much memory something takes at its most."""

import contextlib
import tracemalloc
from collections.abc import Iterator


@contextlib.contextmanager
def at_most(num_bytes: int) -> Iterator[None]:
    """Fails where more is taken; Python's memory and NumPy's are counted."""
    tracemalloc.start()
    try:
        yield
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken <= num_bytes, f"{taken} bytes"
