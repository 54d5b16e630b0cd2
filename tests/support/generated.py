"""Generated: data that a process makes once, since each study would make them anew."""

import functools

from lth_jax.data.sets import DATA_SETS


def keep() -> None:
    """Lets all studies of this process, and of those that it forks, share MNIST-1D."""
    make = DATA_SETS["mnist1d"]
    if not hasattr(make, "cache_info"):
        DATA_SETS._own["mnist1d"] = functools.cache(make)
