"""Evaluation: metrics of one member on a whole split."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax

from lth_jax.training.losses import Examples, Metrics
from lth_jax.training.state import Apply, TrainState

Evaluate = Callable[[TrainState, Examples], Metrics]


def make_evaluate(apply_fn: Apply, chunk_size: int = 250) -> Evaluate:
    """Makes `evaluate(state, examples) -> Metrics` over all the examples.

    The examples go through in chunks of `chunk_size`, which bounds the memory and
    on CPU is faster than one large batch.
    """

    def sums(state: TrainState, inputs: Any, labels: Any) -> Metrics:
        logits, _ = apply_fn(state.params, state.batch_stats, inputs, False, None)
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
        return Metrics(losses.sum(), jnp.sum(logits.argmax(-1) == labels))

    def evaluate(state: TrainState, examples: Examples) -> Metrics:
        inputs, labels = examples
        chex.assert_equal_shape_prefix((inputs, labels), 1)
        size = labels.shape[0]
        whole = size - size % chunk_size
        total = Metrics(jnp.float32(0), jnp.int32(0))
        if whole:
            chunks = jax.tree.map(
                lambda x: x[:whole].reshape(-1, chunk_size, *x.shape[1:]),
                (inputs, labels),
            )
            total, _ = jax.lax.scan(
                lambda total, chunk: (
                    jax.tree.map(jnp.add, total, sums(state, *chunk)),
                    None,
                ),
                total,
                chunks,
            )
        if whole < size:
            rest = sums(state, inputs[whole:], labels[whole:])
            total = jax.tree.map(jnp.add, total, rest)
        return Metrics(total.loss / size, total.accuracy.astype(jnp.float32) / size)

    return evaluate
