"""Evaluation: metrics of one member on a whole split."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp

from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss, Metrics
from lth_jax.training.state import Apply

Evaluate = Callable[[Any, Examples], Metrics]


def make_evaluate(
    apply_fn: Apply, loss: Loss = CROSS_ENTROPY, chunk_size: int = 250
) -> Evaluate:
    """Makes `evaluate(state, examples) -> Metrics` over all the examples.

    The state is anything with params and batch_stats, such as a `TrainState`. The
    examples go through in chunks of `chunk_size`, which bounds the memory and on CPU is
    faster than one large batch. Metrics are float32 scalars.
    """

    def sums(state: Any, inputs: Any, labels: Any) -> Metrics:
        outputs, _ = apply_fn(state.params, state.batch_stats, inputs, False, None)
        return {name: x.sum() for name, x in loss.measures(outputs, labels).items()}

    def evaluate(state: Any, examples: Examples) -> Metrics:
        inputs, labels = examples
        chex.assert_equal_shape_prefix((inputs, labels), 1)
        size = labels.shape[0]
        whole = size - size % chunk_size
        total: Metrics = dict.fromkeys(("loss", *loss.metrics), jnp.float32(0))
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
        return {name: x / size for name, x in total.items()}

    return evaluate
