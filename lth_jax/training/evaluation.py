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

    def evaluate(state: Any, examples: Examples) -> Metrics:
        chex.assert_equal_shape_prefix(tuple(examples), 1)
        size = len(examples[1])
        whole = size - size % chunk_size

        def add(total: Metrics, chunk: Any) -> tuple[Metrics, None]:
            inputs, labels = chunk
            outputs, _ = apply_fn(state.params, state.batch_stats, inputs, False, None)
            measured = loss.measures(outputs, labels)
            sums = {name: total[name] + x.sum() for name, x in measured.items()}
            return Metrics(sums), None

        total = Metrics({name: jnp.float32(0) for name in ("loss", *loss.metrics)})
        if whole:
            chunks = jax.tree.map(
                lambda x: x[:whole].reshape(-1, chunk_size, *x.shape[1:]), examples
            )
            total, _ = jax.lax.scan(add, total, chunks)
        if whole < size:
            total, _ = add(total, jax.tree.map(lambda x: x[whole:], examples))
        return Metrics({name: x / size for name, x in total.items()})

    return evaluate
