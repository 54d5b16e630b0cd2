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
    """A mesh with the axes "member" and "data", for `num_members` stacked members.

    A member has `num_data` neighbouring devices, and each device has a share of every
    batch. The mesh leaves out devices that do not shorten the work: 10 members on 8
    devices take two rounds, and 5 devices are enough. Every process has the same number
    of devices in the mesh.

    Raises:
      ValueError: if `num_data` devices cannot share a member.
    """
    if num_data not in data_sizes():
        raise ValueError(f"num_data: {num_data}; must be one of {data_sizes()}")
    sites = _sites(num_data)
    rounds = -(-num_members // _at_once(num_data))
    each = -(-num_members // (len(sites) * rounds))
    mesh = sites[:, : each * num_data].reshape(-1, num_data)
    return Mesh(mesh, ("member", "data"), axis_types=(AxisType.Auto, AxisType.Auto))


def _sites(num_data: int) -> np.ndarray:
    """The devices [site, device]; a site is a process, or all that share a member."""
    devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
    return np.array(devices).reshape(-1, max(jax.local_device_count(), num_data))


def _at_once(num_data: int) -> int:
    """How many members train at once, on `num_data` devices each."""
    num_sites, num_devices = _sites(num_data).shape
    return int(num_sites * (num_devices // num_data))


def data_sizes() -> list[int]:
    """The numbers of devices that can share a member.

    They are some devices of one process, or all devices of several processes.
    """
    own, num_processes = jax.local_device_count(), jax.process_count()
    across = [n * own for n in range(2, num_processes + 1) if num_processes % n == 0]
    return [*range(1, own + 1), *across]


def in_whole_rounds(num_members: int, num_data: int = 1) -> int:
    """The least number from `num_members` up that divides evenly over the devices."""
    num_at_once = int(make_mesh(num_members, num_data).shape["member"])
    return -(-num_members // num_at_once) * num_at_once


def idle_devices(num_members: int, batch_size: int) -> int:
    """How many devices can share each member's batches that would otherwise idle.

    The number divides the batch, and leaves devices for all members at once. On CPU it is
    1, since small nets are slower on several cores than on one.
    """
    if jax.default_backend() == "cpu":
        return 1
    fitting = [n for n in data_sizes() if batch_size % n == 0]
    return max(n for n in fitting if n == 1 or _at_once(n) >= num_members)


def replicated(tree: Any, num_members: int, num_data: int = 1) -> Any:
    """A pytree, copied to every device that `over_members` uses for `num_members`."""
    return put(tree, NamedSharding(make_mesh(num_members, num_data), P()))


def split_batch(batch: jax.Array, axis: int = 0) -> jax.Array:
    """A batch with its axis of examples split over the devices of one member."""
    spec: list[str | None] = [None] * batch.ndim
    spec[axis] = "data"
    return _constrained(batch, P(*spec))


def by_data(apply: Callable[..., Any]) -> Callable[..., Any]:
    """A net (`lth_jax.training.Apply`) whose devices each see a share of the batch.

    Each device has all params and statistics. The mean loss, the gradients and the batch
    statistics are those of the whole batch, since XLA adds up the shares.
    """

    def split(
        params: Any, stats: Any, inputs: jax.Array, train: bool, key: Any = None
    ) -> Any:
        params, stats = jax.tree.map(_whole, (params, stats))
        if train:
            return apply(params, stats, split_batch(inputs), train, key)
        # Each device has all examples, and measures all. Only the forward pass is split.
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
