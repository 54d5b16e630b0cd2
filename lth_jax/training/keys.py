"""Random keys: chains of `fold_in`, so that nothing random is ever stored.

Names enter a chain through their CRC-32, which stays the same when arms or
purposes are added.
"""

import zlib

import jax
from jaxtyping import Int

from lth_jax.training.state import Array


def study_key(seed: int, purpose: str) -> jax.Array:
    """The key of something that all members of a study share, such as the split."""
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
    """The key of a step, of a member's; None of None."""
    return None if key is None else jax.random.fold_in(key, step)


def _fold_name(key: jax.Array, name: str) -> jax.Array:
    return jax.random.fold_in(key, zlib.crc32(name.encode()))
