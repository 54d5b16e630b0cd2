"""Members on devices: the one place that batches what is written for one member."""

import functools
import logging
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Jaxpr, subjaxprs
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from lth_jax.errors import UserError

_log = logging.getLogger(__name__)


def num_cores() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def use_all_cores() -> None:
    """Makes every CPU core a device of its own; call it before anything runs.

    XLA spreads one small net over several cores hardly at all; nets of their own keep
    each core busy. Does nothing where the number of devices is already forced.
    """
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", num_cores())


def check() -> None:
    """Checks what JAX is told by the environment; warns where it makes all slow.

    Raises:
      UserError: if there are no devices of the kind that JAX is told to use, or if it
        is told to promote no dtypes, which neither this package nor optax bears.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter where it finds none
        platforms = os.environ.get("JAX_PLATFORMS")
        told = str(error) or "no such device is found"
        raise UserError(f"JAX_PLATFORMS: {platforms!r}; {told}") from None
    if jax.config.values["jax_numpy_dtype_promotion"] == "strict":
        raise UserError("JAX_NUMPY_DTYPE_PROMOTION: 'strict'; must be 'standard'")
    if jax.config.values["jax_disable_jit"]:
        told = "JAX_DISABLE_JIT is set: nothing is compiled, and training takes very long"
        _log.warning(told)


def free_memory_bytes() -> int:
    """What the local devices together have free; a UserError where they do not tell."""
    free = 0
    for device in jax.local_devices():
        stats = device.memory_stats() or {}
        if not {"bytes_limit", "bytes_in_use"} <= stats.keys():
            raise UserError(f"{device} does not tell its memory; set members_per_call")
        free += stats["bytes_limit"] - stats["bytes_in_use"]
    return free


def member_mesh(num_members: int) -> Mesh:
    """A mesh with the axis "member": no more local devices than shorten the work."""
    rounds = -(-num_members // jax.local_device_count())
    devices = jax.local_devices()[: -(-num_members // rounds)]
    return jax.make_mesh((len(devices),), ("member",), (AxisType.Auto,), devices=devices)


def replicated(tree: Any, num_members: int) -> Any:
    """A pytree put on every device that `over_members` uses for so many members."""
    return jax.device_put(tree, NamedSharding(member_mesh(num_members), P()))


def fastest(fn: Callable[[Any], Any], member: Any, backend: str) -> str:
    """How members share a device the fastest: "map" or "vmap".

    "map" on CPU, where a small net's state stays in cache while it trains alone
    (`scripts/bench_step.py`). "map" on a GPU too for what convolves: kernels of a
    member's own make grouped convolutions, which took 2.0 times as long a member for
    Conv-6 on an H100 (docs/benchmarks/h100.md). Else "vmap".
    """
    if backend == "cpu":
        return "map"
    if backend == "gpu" and _convolves(jax.make_jaxpr(fn)(member).jaxpr):
        return "map"
    return "vmap"


def _convolves(jaxpr: Jaxpr) -> bool:
    """Whether a program has a convolution, at any depth."""
    here = any(eqn.primitive is lax.conv_general_dilated_p for eqn in jaxpr.eqns)
    return here or any(map(_convolves, subjaxprs(jaxpr)))


def over_members(
    fn: Callable[..., Any], num_members: int, *, num_shared: int = 0, how: str = "auto"
) -> Callable[..., Any]:
    """Lifts a function of one member to M stacked members, under `jit`.

    Its last `num_shared` arguments are the same for all; the others and the results get a
    leading axis M. Members are split over the local devices (the last one is repeated
    where their number does not divide, and dropped from the results), and share a device
    by "vmap" (together) or "map" (one after the other), or "auto", as `fastest` says.
    Where arguments lie is fixed, so that it compiles once whoever made them.

    Raises:
      ValueError: on another `how`.
    """
    if how not in ("auto", "vmap", "map"):
        raise ValueError(f"how: {how!r}; must be 'auto', 'vmap' or 'map'")
    mesh = member_mesh(num_members)
    padding = -num_members % mesh.size

    def on_device(members: tuple[Any, ...], shared: tuple[Any, ...]) -> Any:
        def one(member: tuple[Any, ...]) -> Any:
            return fn(*member, *shared)

        member = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), members
        )
        way = fastest(one, member, jax.default_backend()) if how == "auto" else how
        return jax.vmap(one)(members) if way == "vmap" else lax.map(one, members)

    split, specs = P("member"), (P("member"), P())
    sharded = jax.shard_map(
        on_device, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False
    )

    @functools.wraps(fn)
    def batched(members: tuple[Any, ...], shared: tuple[Any, ...]) -> Any:
        if not padding:
            return sharded(members, shared)
        last = jax.tree.map(lambda x: jnp.concatenate([x, *[x[-1:]] * padding]), members)
        return jax.tree.map(lambda x: x[:num_members], sharded(last, shared))

    # What does not divide cannot be kept split between calls.
    by_member = NamedSharding(mesh, P() if padding else split)
    whole = NamedSharding(mesh, P())
    jitted = jax.jit(batched, in_shardings=(by_member, whole), out_shardings=by_member)

    def call(*args: Any) -> Any:
        first = len(args) - num_shared
        # Committed to the wrong devices they would be refused.
        return jitted(jax.device_put(args[:first], by_member), args[first:])

    return call
