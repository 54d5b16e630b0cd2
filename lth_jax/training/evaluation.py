"""Evaluation: metrics of one member on a whole split."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp

from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss, Metrics, PerExample
from lth_jax.training.state import Apply

Evaluate = Callable[[Any, Examples], Metrics]


def make_evaluate(
    apply_fn: Apply, loss: Loss = CROSS_ENTROPY, chunk_size: int = 250
) -> Evaluate:
    """Makes `evaluate(state, examples) -> Metrics` over all the examples.

    The state is any object with params and batch_stats, such as a `TrainState`. It
    evaluates chunks of `chunk_size` examples. This bounds the memory, and on CPU it is
    faster than one large batch. Metrics are float32 scalars.
    """
    examine = make_examine(apply_fn, loss, chunk_size)

    def evaluate(state: Any, examples: Examples) -> Metrics:
        return examine(state, examples)[0]

    return evaluate


def make_examine(
    apply_fn: Apply,
    loss: Loss = CROSS_ENTROPY,
    chunk_size: int = 250,
    each: str | None = None,
) -> Callable[[Any, Examples], tuple[Metrics, PerExample | None]]:
    """As `make_evaluate`; also returns the metric `each` by example, float32[N]."""

    def examine(state: Any, examples: Examples) -> tuple[Metrics, PerExample | None]:
        chex.assert_equal_shape_prefix(tuple(examples), 1)

        def add(total: Metrics, chunk: Any) -> tuple[Metrics, PerExample | None]:
            inputs, labels = chunk
            outputs, _ = apply_fn(state.params, state.batch_stats, inputs, False, None)
            measured = loss.measures(outputs, labels)
            sums = {name: total[name] + x.sum() for name, x in measured.items()}
            return Metrics(sums), None if each is None else measured[each]

        total = Metrics({name: jnp.float32(0) for name in ("loss", *loss.metrics)})
        total, parts = scan_in_chunks(add, total, examples, chunk_size)
        means = Metrics({name: x / len(examples[1]) for name, x in total.items()})
        if each is None:
            return means, None
        return means, jnp.concatenate([part.ravel() for part in parts])

    return examine


def scan_in_chunks(
    step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, rows: Any, size: int
) -> tuple[Any, list[Any]]:
    """`lax.scan` over chunks of `size` rows; a smaller last chunk is a step by itself.

    It returns the carry and a list: the stacked outputs of whole chunks, if there are
    any, and the output of the last chunk, if it is smaller.
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
