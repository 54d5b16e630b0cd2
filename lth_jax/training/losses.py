"""Losses: what training makes small, and how it is measured."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import optax

from lth_jax.masks import Params
from lth_jax.training.state import Apply, Array, BatchStats


class Examples(NamedTuple):
    """Examples of one split: inputs of any dtype [N, ...], labels int32[N]."""

    inputs: Array
    labels: Array


class Metrics(NamedTuple):
    """Means over the examples: cross-entropy in nats, accuracy in [0, 1]."""

    loss: Array
    accuracy: Array


Loss = Callable[..., tuple[jax.Array, BatchStats]]


def make_loss(apply_fn: Apply) -> Loss:
    """Makes `loss(params, batch_stats, inputs, labels, key)`.

    Gives the batch's mean cross-entropy, and the new batch statistics.
    """

    def loss_fn(
        params: Params,
        batch_stats: BatchStats,
        inputs: jax.Array,
        labels: jax.Array,
        key: jax.Array | None,
    ) -> tuple[jax.Array, BatchStats]:
        logits, batch_stats = apply_fn(params, batch_stats, inputs, True, key)
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), batch_stats

    return loss_fn
