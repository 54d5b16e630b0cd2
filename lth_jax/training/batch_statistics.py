"""Batch statistics, estimated anew for weights that did not come from training."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Int

from lth_jax.masks import Params
from lth_jax.training.keys import at_step
from lth_jax.training.losses import Examples
from lth_jax.training.state import Apply, Array, BatchStats

Estimate = Callable[..., BatchStats]


def make_estimate(apply_fn: Apply) -> Estimate:
    """Makes `estimate(params, batch_stats, batch_indices, examples, key)`.

    It returns the mean statistics over the batches, int32[T, B], of a net in training.
    Averages of weights need them (Izmailov et al. 2018, section 3.3). The key is for nets
    that draw; by default it is None. The function is pure, for `jit` and `vmap`.

    A running average is m * old + (1 - m) * batch. One batch from old = 0 returns
    (1 - m) * batch, and from old = 1 it returns m more: this shows m. A statistic that no
    batch changes, or that is no float, is returned as it was given.
    """

    def estimate(
        params: Params,
        batch_stats: BatchStats,
        batch_indices: Int[Array, "batches batch"],
        examples: Examples,
        key: jax.Array | None = None,
    ) -> BatchStats:
        batches = jnp.asarray(batch_indices)

        def after(value: float, step: Any, indices: jax.Array) -> BatchStats:
            old = jax.tree.map(partial(_filled, value), batch_stats)
            inputs = examples.inputs[indices]
            return apply_fn(params, old, inputs, True, at_step(key, step))[1]

        def add(total: BatchStats, batch: Any) -> tuple[BatchStats, None]:
            return jax.tree.map(jnp.add, total, after(0, *batch)), None

        zeros = jax.tree.map(partial(_filled, 0), batch_stats)
        total, _ = jax.lax.scan(add, zeros, (jnp.arange(len(batches)), batches))
        ends = (after(value, 0, batches[0]) for value in (0, 1))

        def mean(given: Any, total: Any, from_zero: Any, from_one: Any) -> Any:
            share = 1 - (from_one - from_zero)  # of the batch, 1 - m
            if not jnp.issubdtype(given.dtype, jnp.floating):
                return given
            found = total / len(batches) / jnp.where(share > 0, share, 1)
            return jnp.where(share > 0, found, given)

        return jax.tree.map(mean, batch_stats, total, *ends)

    return estimate


def _filled(value: float, leaf: Any) -> Any:
    is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
    return jnp.full_like(leaf, value) if is_float else leaf
