"""Random keys: chains of `fold_in`, so that no random state is ever stored.

Names enter a chain through their CRC-32. New arms or purposes do not change it.
"""

import zlib

import jax
import jax.numpy as jnp
from jaxtyping import Int

from lth_jax.training.state import Array


def study_key(seed: int, purpose: str) -> jax.Array:
    """The key for one purpose that all members of a study share, such as "split"."""
    return _fold_name(jax.random.key(seed), purpose)


def member_key(
    seed: int, replicate: int, arm: str, level: int, purpose: str
) -> jax.Array:
    """The key of one member for one purpose ("init", "order", "masks", ...).

    A pure function of its arguments: any member can be reproduced alone.
    """
    key = jax.random.fold_in(jax.random.key(seed), replicate)
    key = jax.random.fold_in(_fold_name(key, arm), level)
    return _fold_name(key, purpose)


def at_step(key: jax.Array | None, step: Int[Array, ""]) -> jax.Array | None:
    """The key of a step, from a member's key; None if that is None."""
    return None if key is None else jax.random.fold_in(key, step)


def key_data(key: jax.Array) -> jax.Array:
    """The words of a key, typed or not, uint32[..., words]."""
    is_typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(key) if is_typed else key


def _fold_name(key: jax.Array, name: str) -> jax.Array:
    return jax.random.fold_in(key, zlib.crc32(name.encode()))
