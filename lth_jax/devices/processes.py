"""Processes: several that train one study together, each on its own devices.

All run the same program and come to the same calls in the same order. The first alone
reads and writes the workdir, and the others get what it found. So nothing need be shared
but the network, and every process decides alike. One process alone pays nothing for it.
"""

import functools
import pickle
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding

from lth_jax.errors import UserError

T = TypeVar("T")
Arguments = ParamSpec("Arguments")
_LEAST_BYTES = 1024  # of a message; its length is padded, as each length is compiled
_is_deciding = False  # whether this process, the first, does what others wait for


def are_several() -> bool:
    """Whether this process trains together with others."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def is_first() -> bool:
    """Whether this process is the one that reads, writes and prints."""
    return not are_several() or jax.process_index() == 0


def from_first(make: Callable[[], T]) -> T:
    """What a function returns in the first process, on the host, in every process.

    What it raises there is raised in every process. Others do not call it. It must not
    wait for other processes; calls of `from_first` within it are plain calls.
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
    found, told = _broadcast(value, error)
    if told is not None:
        if isinstance(told, UserError):
            told.is_told = True
        raise error or told
    result: T = found
    return result


def by_first(function: Callable[Arguments, T]) -> Callable[Arguments, T]:
    """A function of which every call is `from_first`."""

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> T:
        return from_first(lambda: function(*args, **kwargs))

    return call


def differ(value: Any) -> bool:
    """Whether a process has another value than the first; all come to the same answer."""
    return any_of(from_first(lambda: value) != value)


def any_of(flag: bool) -> bool:
    """Whether a flag is set in any process."""
    if not are_several():
        return flag
    return bool(multihost_utils.process_allgather(np.array(flag)).any())


def readable(tree: Any) -> Any:
    """A pytree of which this process can read all: gathered where others have a part."""

    def own(x: Any) -> Any:
        if not isinstance(x, jax.Array) or x.is_fully_addressable:
            return x
        if x.is_fully_replicated:
            return np.asarray(x.addressable_data(0))
        return multihost_utils.process_allgather(x, tiled=True)

    return jax.tree.map(own, tree)


def on_host(tree: Any) -> Any:
    """A pytree as NumPy arrays, whichever processes have its parts."""
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
        values = np.asarray(readable(x))
        return jax.make_array_from_callback(values.shape, sharding, values.__getitem__)

    return jax.tree.map(one, tree)


def _broadcast(value: Any, error: Exception | None) -> tuple[Any, Exception | None]:
    """What the first process has, in all."""
    content = _pickled(value, error) if is_first() else b""
    size = int(multihost_utils.broadcast_one_to_all(np.int64(len(content))))
    padded = np.zeros(max(_LEAST_BYTES, 1 << (size - 1).bit_length()), np.uint8)
    if is_first():
        padded[:size] = np.frombuffer(content, np.uint8)
    received = multihost_utils.broadcast_one_to_all(padded)
    result: tuple[Any, Exception | None] = pickle.loads(received[:size].tobytes())
    return result


def _pickled(value: Any, error: Exception | None) -> bytes:
    try:
        return pickle.dumps((value, error))
    except Exception:
        if error is None:
            raise
        return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}")))
