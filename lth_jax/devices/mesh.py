"""Mesh: which devices train which members, and which share the batches of one."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from lth_jax.devices.processes import put


def make_mesh(num_members: int, num_data: int = 1) -> Mesh:
    """The axes "member" and "data" over all devices, for so many stacked members.

    A member has `num_data` neighbouring devices, and each of these its share of every
    batch. It uses no more devices than shorten the work: 10 members on 8 single devices
    take two rounds, and so 5. Every process has as many devices in it as any other.

    Raises:
      ValueError: if so many devices cannot share a member.
    """
    if num_data not in data_sizes():
        raise ValueError(f"num_data: {num_data}; must be one of {data_sizes()}")
    sites = _sites(num_data)
    rounds = -(-num_members // _at_once(num_data))
    each = -(-num_members // (len(sites) * rounds))
    mesh = sites[:, : each * num_data].reshape(-1, num_data)
    return Mesh(mesh, ("member", "data"), axis_types=(AxisType.Auto, AxisType.Auto))


def _sites(num_data: int) -> np.ndarray:
    """The devices of each process, or of as many processes as share a member."""
    devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
    return np.array(devices).reshape(-1, max(jax.local_device_count(), num_data))


def _at_once(num_data: int) -> int:
    """How many members train at once, of so many devices each."""
    num_sites, num_devices = _sites(num_data).shape
    return int(num_sites * (num_devices // num_data))


def data_sizes() -> list[int]:
    """How many devices can share a member: of one process, or some processes' all."""
    own, num_processes = jax.local_device_count(), jax.process_count()
    across = [n * own for n in range(2, num_processes + 1) if num_processes % n == 0]
    return [*range(1, own + 1), *across]


def in_whole_rounds(num_members: int, num_data: int = 1) -> int:
    """The least number of members, at least so many, that the devices divide."""
    num_at_once = int(make_mesh(num_members, num_data).shape["member"])
    return -(-num_members // num_at_once) * num_at_once


def idle_devices(num_members: int, batch_size: int) -> int:
    """How many devices may share each member's batches, where they would idle else.

    As many as so many members leave for each and divide the batch. On CPU 1: small nets
    are slower on several cores than on one.
    """
    if jax.default_backend() == "cpu":
        return 1
    fitting = [n for n in data_sizes() if batch_size % n == 0]
    return max(n for n in fitting if n == 1 or _at_once(n) >= num_members)


def replicated(tree: Any, num_members: int, num_data: int = 1) -> Any:
    """A pytree put on every device that `over_members` uses for so many members."""
    return put(tree, NamedSharding(make_mesh(num_members, num_data), P()))


def split_batch(batch: jax.Array, axis: int = 0) -> jax.Array:
    """A batch whose axis of examples is split over "data", where a member has several."""
    spec: list[str | None] = [None] * batch.ndim
    spec[axis] = "data"
    return _constrained(batch, P(*spec))


def by_data(apply: Callable[..., Any]) -> Callable[..., Any]:
    """A net (`lth_jax.training.Apply`) each of whose devices sees its share of a batch.

    Params and statistics are whole on each. What is of the batch, such as its mean loss,
    its gradients and its statistics, is of the whole batch: XLA adds up the shares.
    """

    def split(
        params: Any, stats: Any, inputs: jax.Array, train: bool, key: Any = None
    ) -> Any:
        params, stats = jax.tree.map(_whole, (params, stats))
        if train:
            return apply(params, stats, split_batch(inputs), train, key)
        # Each device has all examples, and measures all: only the pass between is split.
        outputs, stats = apply(params, stats, split_batch(_whole(inputs)), train, key)
        return _whole(outputs), stats

    return split


def _whole(x: jax.Array) -> jax.Array:
    return _constrained(x, P())


def _constrained(x: jax.Array, spec: P) -> jax.Array:
    if jax.sharding.get_abstract_mesh().shape.get("data", 1) == 1:
        return x
    constrained: jax.Array = lax.with_sharding_constraint(x, spec)
    return constrained
