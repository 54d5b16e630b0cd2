"""Members on devices: the one place that batches what is written for one member."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P


def member_mesh(num_members: int) -> Mesh:
    """A mesh with the axis "member": as many local devices as divide the members."""
    devices = jax.local_devices()
    count = max(n for n in range(1, len(devices) + 1) if num_members % n == 0)
    return jax.make_mesh(
        (count,), ("member",), axis_types=(AxisType.Auto,), devices=devices[:count]
    )


def replicated(tree: Any, num_members: int) -> Any:
    """A pytree put on every device that `over_members` uses for so many members."""
    return jax.device_put(tree, NamedSharding(member_mesh(num_members), P()))


def over_members(
    fn: Callable[..., Any],
    num_members: int,
    *,
    num_shared: int = 0,
    how: str = "auto",
) -> Callable[..., Any]:
    """Lifts a function of one member to stacked members, under `jit`.

    Members are split over the local devices where their number divides, and share a
    device by `vmap` (together) or `map` (one after the other). On CPU a small net's
    state stays in cache while it trains alone, so "auto" maps there.

    Args:
      fn: its last `num_shared` arguments are the same for all members.
      num_members: M.
      num_shared: how many arguments are shared.
      how: "vmap", "map" or "auto".

    Returns:
      A jitted function whose other arguments and results have a leading axis M. Where
      its arguments lie is fixed, so that it compiles once whoever made them.
    """
    if how == "auto":
        how = "map" if jax.default_backend() == "cpu" else "vmap"
    mesh = member_mesh(num_members)

    def on_device(members: tuple[Any, ...], shared: tuple[Any, ...]) -> Any:
        def one(member: tuple[Any, ...]) -> Any:
            return fn(*member, *shared)

        return jax.vmap(one)(members) if how == "vmap" else jax.lax.map(one, members)

    sharded = jax.shard_map(
        on_device,
        mesh=mesh,
        in_specs=(P("member"), P()),
        out_specs=P("member"),
        check_vma=False,
    )
    by_member, whole = NamedSharding(mesh, P("member")), NamedSharding(mesh, P())

    @functools.wraps(fn)
    def batched(members: tuple[Any, ...], shared: tuple[Any, ...]) -> Any:
        return sharded(members, shared)

    jitted = jax.jit(batched, in_shardings=(by_member, whole), out_shardings=by_member)

    def call(*args: Any) -> Any:
        split = len(args) - num_shared
        # Committed to the wrong devices they would be refused.
        members = jax.device_put(args[:split], by_member)
        return jitted(members, args[split:])

    return call
