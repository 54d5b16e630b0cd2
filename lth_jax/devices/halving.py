"""Halving: runs stacked members, as many at once as the memory holds."""

import itertools
import logging
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lth_jax.devices.processes import are_several, on_host, readable
from lth_jax.errors import UserError

_log = logging.getLogger(__name__)
_Make = Callable[[int], Callable[..., Any]]


class Halving:
    """Runs stacked members in equal parts; halves these when they do not fit."""

    def __init__(self, at_once: int | None):
        self.at_once = at_once  # the most members that run together; None: all

    def run(self, make: _Make, *members: Any, shared: tuple[Any, ...] = ()) -> Any:
        """The results of all members, stacked, with a leading axis M.

        `make` takes a number of members, and returns the function of that many. It takes
        pytrees with a leading axis M, and then those of `shared`.

        Raises:
          UserError: if not even one member fits.
        """
        num_members = len(jax.tree.leaves(members)[0])
        while True:
            at_once = min(self.at_once or num_members, num_members)
            try:
                return _run(make, members, shared, -(-num_members // at_once))
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                if at_once == 1:
                    raise UserError(
                        "one member alone does not fit the device's memory; a smaller"
                        " batch_size or model.width may, or a larger mesh.data"
                    ) from error
                if are_several():  # the other processes have begun, and wait
                    raise UserError(
                        f"{at_once} members at once do not fit the devices' memory; set"
                        " members_per_call"
                    ) from error
            self.at_once = -(-at_once // 2)
            told = "%d members at once do not fit the device's memory; going on with %d"
            _log.warning(told, at_once, self.at_once)


def _run(make: _Make, members: Any, shared: tuple[Any, ...], num_parts: int) -> Any:
    num_members = len(jax.tree.leaves(members)[0])
    if num_parts == 1:
        return jax.block_until_ready(make(num_members)(*members, *shared))
    members = readable(members)
    ends = [num_members * i // num_parts for i in range(num_parts + 1)]
    results = []
    for begin, end in itertools.pairwise(ends):
        part = jax.tree.map(lambda x, b=begin, e=end: x[b:e], members)
        # Results are joined on the host, since parts of other sizes lie on other devices.
        results.append(on_host(make(end - begin)(*part, *shared)))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *results)
