"""Members on devices: the one place that batches what is written for one member."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P


def over_members(
    fn: Callable[..., Any], *, num_shared: int = 0, how: str = "auto"
) -> Callable[..., Any]:
    """Lifts a function of one member to stacked members.

    Members are split over the local devices when their number divides, and share a
    device by `vmap` (together) or `map` (one after the other). On CPU a small net's
    state stays in cache while it trains alone, so "auto" maps there.

    Args:
      fn: its last `num_shared` arguments are the same for all members.
      num_shared: how many arguments are shared.
      how: "vmap", "map" or "auto".

    Returns:
      A function whose other arguments and results have a leading axis M. Pure; to
      be called under `jit`.
    """
    if how == "auto":
        how = "map" if jax.default_backend() == "cpu" else "vmap"

    def on_device(members: tuple[Any, ...], shared: tuple[Any, ...]) -> Any:
        def one(member: tuple[Any, ...]) -> Any:
            return fn(*member, *shared)

        return jax.vmap(one)(members) if how == "vmap" else jax.lax.map(one, members)

    def batched(*args: Any) -> Any:
        members, shared = args[: len(args) - num_shared], args[len(args) - num_shared :]
        num_members = jax.tree.leaves(members)[0].shape[0]
        num_devices = max(
            n for n in range(1, jax.local_device_count() + 1) if num_members % n == 0
        )
        if num_devices == 1:
            return on_device(members, shared)
        mesh = jax.make_mesh(
            (num_devices,),
            ("member",),
            axis_types=(AxisType.Auto,),
            devices=jax.local_devices()[:num_devices],
        )
        sharded = jax.shard_map(
            on_device,
            mesh=mesh,
            in_specs=(P("member"), P()),
            out_specs=P("member"),
            check_vma=False,
        )
        return sharded(members, shared)

    return batched
