"""Members on devices: the one place that batches functions of one member."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Jaxpr, subjaxprs
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from lth_jax.devices.mesh import make_mesh
from lth_jax.devices.processes import put


def fastest(
    fn: Callable[[Any], Any], member: Any, backend: str, num_data: int = 1
) -> str:
    """The faster way for members to share a device: "map" or "vmap".

    It is "map" on CPU, where a small net's state stays in cache while it trains alone
    (`scripts/bench_step.py`). On a GPU it is "map" for convolutional nets. Kernels of
    each member's own make grouped convolutions under "vmap". For Conv-6 on an H100 these
    took 2.0 times as long (docs/benchmarks/h100.md). It is also "map" for convolutional
    nets with split batches, since for grouped convolutions XLA gathers the whole batch.
    Otherwise it is "vmap".
    """
    if backend == "cpu":
        return "map"
    alone = backend == "gpu" or num_data > 1
    if alone and _convolves(jax.make_jaxpr(fn)(member).jaxpr):
        return "map"
    return "vmap"


def _convolves(jaxpr: Jaxpr) -> bool:
    """Whether a program has a convolution, at any depth."""
    here = any(eqn.primitive is lax.conv_general_dilated_p for eqn in jaxpr.eqns)
    return here or any(map(_convolves, subjaxprs(jaxpr)))


def over_members(
    fn: Callable[..., Any],
    num_members: int,
    *,
    num_shared: int = 0,
    how: str = "auto",
    num_data: int = 1,
) -> Callable[..., Any]:
    """Lifts a function of one member to M stacked members, under `jit`.

    All members share its last `num_shared` arguments. The other arguments and the results
    have a leading axis M. Members are split over the devices. If they do not divide
    evenly, the last one is repeated, and the copies are dropped from the results. Members
    share a device by "vmap" (together), "map" (in sequence), or "auto", which is
    `fastest`. Each has `num_data` devices, and its function may split batches over them
    (`by_data`). The placement of arguments is fixed, so that the function compiles once.

    Raises:
      ValueError: on another `how`, or if `num_data` is not in `data_sizes()`.
    """
    if how not in ("auto", "vmap", "map"):
        raise ValueError(f"how: {how!r}; must be 'auto', 'vmap' or 'map'")
    mesh = make_mesh(num_members, num_data)
    padding = -num_members % mesh.shape["member"]

    def on_device(members: tuple[Any, ...], shared: tuple[Any, ...]) -> Any:
        def one(member: tuple[Any, ...]) -> Any:
            return fn(*member, *shared)

        member = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), members
        )
        way = how
        if how == "auto":
            way = fastest(one, member, jax.default_backend(), num_data)
        return jax.vmap(one)(members) if way == "vmap" else lax.map(one, members)

    split, specs = P("member"), (P("member"), P())
    sharded = jax.shard_map(
        on_device,
        mesh=mesh,
        in_specs=specs,
        out_specs=split,
        axis_names={"member"},  # "data" is left to XLA
        check_vma=False,
    )

    @functools.wraps(fn)
    def batched(members: tuple[Any, ...], shared: tuple[Any, ...]) -> Any:
        if not padding:
            return sharded(members, shared)
        last = jax.tree.map(lambda x: jnp.concatenate([x, *[x[-1:]] * padding]), members)
        return jax.tree.map(lambda x: x[:num_members], sharded(last, shared))

    # Results that do not divide over the devices cannot stay split between calls.
    by_member = NamedSharding(mesh, P() if padding else split)
    whole = NamedSharding(mesh, P())
    jitted = jax.jit(batched, in_shardings=(by_member, whole), out_shardings=by_member)

    def call(*args: Any) -> Any:
        first = len(args) - num_shared
        # `jit` refuses arguments that are committed to other devices.
        return jitted(put(args[:first], by_member), put(args[first:], whole))

    return call
