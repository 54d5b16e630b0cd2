"""Processes: several processes train one study together, each on its own devices.

All run the same program, and make the same calls in the same order. Only the first reads
and writes the workdir; it sends the others its results. They therefore need no shared
file system, and all decide alike. For a single process all this costs nothing.
"""

import functools
import pickle
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from lth_jax.errors import UserError

T = TypeVar("T")
Arguments = ParamSpec("Arguments")
# The sizes of one message. Each size compiles, and more would fill a device's memory.
_LEAST_BYTES, _MOST_BYTES = 2**10, 2**24
_HEAD = 8  # the bytes that hold a message's length
_is_deciding = False  # whether the others wait for this process, the first


def are_several() -> bool:
    """Whether this process trains together with others."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def is_first() -> bool:
    """Whether this process is the one that reads, writes and prints."""
    return not are_several() or jax.process_index() == 0


def from_first(make: Callable[[], T]) -> T:
    """Calls a function in the first process alone; all return its result, on the host.

    An error there is raised in every process. The function must not gather arrays or
    compare flags. A `from_first` inside it is a plain call.
    """
    global _is_deciding
    if not are_several() or _is_deciding:
        return make()
    value: Any = None
    error: Exception | None = None
    if is_first():
        _is_deciding = True
        try:
            value = jax.device_get(make())
        except Exception as raised:
            error = raised
        finally:
            _is_deciding = False
    found, told = pickle.loads(_sent(_pickled(value, error) if is_first() else b""))
    if told is None:
        result: T = found
        return result
    error = error or told
    if isinstance(error, UserError):
        error.is_common, error.is_told = True, not is_first()
    raise error


def by_first(function: Callable[Arguments, T]) -> Callable[Arguments, T]:
    """A function whose every call is `from_first`, with gathered arguments."""

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> T:
        if not _is_deciding:
            args, kwargs = readable((args, kwargs))
        return from_first(lambda: function(*args, **kwargs))

    return call


def by_all(make: Callable[[], T]) -> T:
    """Calls a function in every process; returns the process's own result.

    Raises:
      UserError: in processes without an error of their own, if another process fails.
    """
    error: Exception | None = None
    try:
        value = make()
    except Exception as raised:
        if not are_several():
            raise
        error = raised
    if any_of(error is not None):
        error = error or UserError("another process of this job failed")
        if isinstance(error, UserError):
            error.is_common = True
        raise error
    return value


def differ(value: Any) -> bool:
    """Whether the value of any process differs from the first's; the same in all."""
    return any_of(from_first(lambda: value) != value)


def any_of(flag: bool) -> bool:
    """Whether a flag is set in any process; the same answer in all."""
    return bool(_total(np.array([flag], np.int32))[0]) if are_several() else flag


def readable(tree: Any) -> Any:
    """A pytree that this process can read whole; gathers parts of other processes."""
    return jax.tree.map(_gathered, tree) if are_several() else tree


def on_host(tree: Any) -> Any:
    """A pytree as whole NumPy arrays; parts of other processes are gathered."""
    return jax.device_get(readable(tree))


def put(tree: Any, sharding: NamedSharding) -> Any:
    """A pytree laid out over devices; every process must have all of its values."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def one(x: Any) -> jax.Array:
        if isinstance(x, jax.core.Tracer):
            traced: jax.Array = jax.device_put(x, sharding)
            return traced
        if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            data = one(jax.random.key_data(x))
            key: jax.Array = jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
            return key
        if isinstance(x, jax.Array) and x.sharding.is_equivalent_to(sharding, x.ndim):
            return x
        values = np.asarray(_gathered(x))
        return jax.make_array_from_callback(values.shape, sharding, values.__getitem__)

    return jax.tree.map(one, tree)


def _gathered(x: Any) -> Any:
    if not isinstance(x, jax.Array) or x.is_fully_addressable:
        return x
    if x.is_fully_replicated:
        return np.asarray(x.addressable_data(0))
    own = np.zeros(x.shape, x.dtype)
    for shard in x.addressable_shards:
        if shard.replica_id == 0:  # several devices may hold a part; one of them sends it
            own[shard.index] = np.asarray(shard.data)
    # Every place is 0 in all processes except one. The sum is over bytes, since as floats
    # -0.0 + 0.0 would be 0.0.
    content = _total_bytes(own.reshape(-1).view(np.uint8))
    return content.view(own.dtype).reshape(own.shape)


def _sent(message: bytes) -> bytes:
    """The first process's message, in all processes; those of others are not read."""
    content = np.frombuffer(len(message).to_bytes(_HEAD, "big") + message, np.uint8)
    start = _of_first(content[:_LEAST_BYTES], _LEAST_BYTES)
    length = _HEAD + int.from_bytes(start[:_HEAD].tobytes(), "big")
    rest = _of_first(content[_LEAST_BYTES:], max(0, length - _LEAST_BYTES))
    return np.concatenate([start, rest])[_HEAD:length].tobytes()


def _of_first(content: np.ndarray, size: int) -> np.ndarray:
    """The first process's bytes, in all processes, padded with 0 to `size`."""
    padded = np.zeros(size, np.uint8)
    if is_first():
        padded[: content.size] = content
    return _total_bytes(padded)


def _total_bytes(content: np.ndarray) -> np.ndarray:
    """The sum of bytes over processes; at each place only one process is not 0."""
    totals = [np.zeros(0, np.uint8)]
    for part in np.split(content, range(_MOST_BYTES, content.size, _MOST_BYTES)):
        size = max(_LEAST_BYTES, 1 << (part.size - 1).bit_length()) if part.size else 0
        padded = np.zeros(size, np.uint8)
        padded[: part.size] = part
        if size:
            totals.append(_total(padded)[: part.size])
    return np.concatenate(totals)


def _total(values: np.ndarray) -> np.ndarray:
    """The sum of arrays of one shape over processes."""
    mesh, sum_up = _summing()
    own = jax.device_put(values[None], mesh.local_devices[0])
    spread = jax.make_array_from_single_device_arrays(
        (mesh.size, *values.shape), NamedSharding(mesh, P("process")), [own]
    )
    return np.asarray(sum_up(spread).addressable_data(0))


@functools.cache
def _summing() -> tuple[Mesh, Callable[[jax.Array], jax.Array]]:
    """A mesh of one device of each process, and the function that sums over them."""
    devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
    mesh = Mesh(np.array(devices).reshape(jax.process_count(), -1)[:, 0], ("process",))
    whole = NamedSharding(mesh, P())
    return mesh, jax.jit(lambda x: x.sum(0, dtype=x.dtype), out_shardings=whole)


def _pickled(value: Any, error: Exception | None) -> bytes:
    """The bytes of both; an error that pickle cannot read back becomes a RuntimeError."""
    try:
        pickle.loads(content := pickle.dumps((value, error)))
    except Exception:  # of any type, since classes raise it while they are made again
        if error is None:
            raise
        return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}")))
    return content
