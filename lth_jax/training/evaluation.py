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

        def add(total: Metrics, chunk: Any) -> tuple[Metrics, None]:
            inputs, labels = chunk
            outputs, _ = apply_fn(state.params, state.batch_stats, inputs, False, None)
            measured = loss.measures(outputs, labels)
            sums = {name: total[name] + x.sum() for name, x in measured.items()}
            return Metrics(sums), None

        total = Metrics({name: jnp.float32(0) for name in ("loss", *loss.metrics)})
        total, _ = scan_in_chunks(add, total, examples, chunk_size)
        return Metrics({name: x / len(examples[1]) for name, x in total.items()})

    return evaluate


def scan_in_chunks(
    step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, rows: Any, size: int
) -> tuple[Any, list[Any]]:
    """`lax.scan` over chunks of so many rows; the last few, if any, by themselves.

    The outputs are those of all whole chunks, stacked, and those of the last few.
    """
    number, parts = len(jax.tree.leaves(rows)[0]), []
    whole = number - number % size
    if whole:
        chunks = jax.tree.map(lambda x: x[:whole].reshape(-1, size, *x.shape[1:]), rows)
        carry, part = jax.lax.scan(step, carry, chunks)
        parts.append(part)
    if whole < number:
        carry, part = step(carry, jax.tree.map(lambda x: x[whole:], rows))
        parts.append(part)
    return carry, parts
