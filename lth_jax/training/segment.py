"""Segment: training and evaluation in one compiled call."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import optax

from lth_jax.masks import Masks
from lth_jax.training.evaluation import Evaluate, make_evaluate
from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss, Metrics
from lth_jax.training.state import Apply, Array, TrainState
from lth_jax.training.steps import make_steps


class Curves(NamedTuple):
    """What a segment reports, float32[V] at each of its V evaluations.

    `batch_loss` is the mean of the batches' losses since the evaluation before.
    """

    batch_loss: Array
    validation: Metrics
    test: Metrics


Segment = Callable[..., tuple[TrainState, Curves]]


def make_curves(evaluate: Evaluate) -> Callable[..., Curves]:
    """Makes `curves(state, losses, validation, test)`, at one evaluation."""

    def curves(
        state: TrainState, losses: jax.Array, validation: Examples, test: Examples
    ) -> Curves:
        return Curves(losses.mean(), evaluate(state, validation), evaluate(state, test))

    return curves


def make_segment(
    apply_fn: Apply,
    tx: optax.GradientTransformation,
    loss: Loss = CROSS_ENTROPY,
    chunk_size: int = 250,
) -> Segment:
    """Makes `segment(state, masks, batch_indices, train, validation, test, key)`.

    A segment trains and evaluates in one compiled call: `batch_indices` is
    int32[V, T, B], and after every T steps both held-out splits are evaluated.
    The key is as for `make_steps`. Returns the state at its end and the `Curves`.
    """
    steps = make_steps(apply_fn, tx, loss)
    curves = make_curves(make_evaluate(apply_fn, loss, chunk_size))

    def segment(
        state: TrainState,
        masks: Masks,
        batch_indices: jax.Array,
        train: Examples,
        validation: Examples,
        test: Examples,
        key: jax.Array | None = None,
    ) -> tuple[TrainState, Curves]:
        chex.assert_rank(batch_indices, 3)

        def interval(state: TrainState, indices: jax.Array) -> tuple[TrainState, Curves]:
            state, losses = steps(state, masks, indices, train, key)
            return state, curves(state, losses, validation, test)

        return jax.lax.scan(interval, state, batch_indices)

    return segment
