"""Segment: training and evaluation in one compiled call."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from lth_jax.masks import Masks, Params
from lth_jax.training.evaluation import Evaluate, make_evaluate
from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss, Metrics
from lth_jax.training.state import Apply, Array, BatchStats, TrainState
from lth_jax.training.steps import make_steps


class Curves(NamedTuple):
    """What a segment reports, float32[V] at each of its V evaluations.

    `batch_loss` is the mean of the batches' losses since the evaluation before.
    """

    batch_loss: Array
    validation: Metrics
    test: Metrics


class Best(NamedTuple):
    """What early stopping returns to: a member at its least validation loss so far.

    Attributes:
      loss: float32 scalar; infinite before the first evaluation.
      step: int32 scalar.
      params: the weights then.
      batch_stats: the statistics then.
    """

    loss: Array
    step: Array
    params: Params
    batch_stats: BatchStats


Segment = Callable[..., tuple[TrainState, Best, Curves]]


def no_best(state: TrainState) -> Best:
    """Before the first evaluation."""
    return Best(jnp.float32(jnp.inf), state.step, state.params, state.batch_stats)


def make_evaluation(evaluate: Evaluate, stop_from: int = 0) -> Callable[..., Any]:
    """Makes `evaluation(state, best, losses, validation, test, due) -> (best, Curves)`.

    Args:
      evaluate: of a state on a split.
      stop_from: no step before this one is the best.
    """

    def evaluation(
        state: TrainState,
        best: Best,
        losses: jax.Array,
        validation: Examples,
        test: Examples,
        due: jax.Array,
    ) -> tuple[Best, Curves]:
        found = evaluate(state, validation)
        tested = jax.lax.cond(
            due,
            lambda: evaluate(state, test),
            lambda: dict.fromkeys(found, jnp.float32(jnp.nan)),
        )
        now = Best(found["loss"], state.step, state.params, state.batch_stats)
        # Of equal losses the first stays.
        is_better = (now.loss < best.loss) & (state.step >= stop_from)
        best = jax.tree.map(lambda a, b: jnp.where(is_better, a, b), now, best)
        return best, Curves(losses.mean(), found, tested)

    return evaluation


def make_segment(
    apply_fn: Apply,
    tx: optax.GradientTransformation,
    loss: Loss = CROSS_ENTROPY,
    chunk_size: int = 250,
) -> Segment:
    """Makes `segment(state, best, masks, batch_indices, train, validation, test, …)`.

    A segment trains and evaluates in one compiled call: `batch_indices` is
    int32[V, T, B], and after every T steps the held-out splits are evaluated, test only
    where `test_due` (bool[V], by default everywhere; NaN elsewhere). The key is as for
    `make_steps`. Returns the state at its end, the `Best` and the `Curves`.
    """
    steps = make_steps(apply_fn, tx, loss)
    evaluation = make_evaluation(make_evaluate(apply_fn, loss, chunk_size))

    def segment(
        state: TrainState,
        best: Best,
        masks: Masks,
        batch_indices: jax.Array,
        train: Examples,
        validation: Examples,
        test: Examples,
        key: jax.Array | None = None,
        test_due: jax.Array | None = None,
    ) -> tuple[TrainState, Best, Curves]:
        chex.assert_rank(batch_indices, 3)
        if test_due is None:
            test_due = jnp.ones(len(batch_indices), bool)

        def interval(
            now: tuple[TrainState, Best], at: tuple[jax.Array, jax.Array]
        ) -> tuple[tuple[TrainState, Best], Curves]:
            state, losses = steps(now[0], masks, at[0], train, key)
            best, curves = evaluation(state, now[1], losses, validation, test, at[1])
            return (state, best), curves

        (state, best), curves = jax.lax.scan(
            interval, (state, best), (batch_indices, test_due)
        )
        return state, best, curves

    return segment
