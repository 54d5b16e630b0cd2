"""Segment: training and evaluation in one compiled call."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from lth_jax.masks import Masks, Params
from lth_jax.training.evaluation import Evaluate, make_evaluate
from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss, Metrics
from lth_jax.training.state import Apply, Array, BatchStats, Optimizer, TrainState
from lth_jax.training.steps import make_steps


class Curves(NamedTuple):
    """What a segment reports, float32[V] at each of its V evaluations.

    `batch_loss` is the mean of the batches' losses since the evaluation before. Test
    metrics are NaN where the test split was not due.
    """

    batch_loss: Float[Array, " evaluations"]
    validation: Metrics
    test: Metrics


class Best(NamedTuple):
    """The net of the least validation loss so far; of equal ones the first."""

    loss: Float[Array, ""]  # infinite before any evaluation
    step: Int[Array, ""]
    params: Params
    batch_stats: BatchStats

    @classmethod
    def before(cls, state: TrainState) -> "Best":
        """The best of no evaluation yet; any with a finite loss replaces it."""
        return cls(jnp.float32(jnp.inf), state.step, state.params, state.batch_stats)

    def or_better(
        self, state: TrainState, loss: Float[Array, ""], since: int = 0
    ) -> "Best":
        """The state where its loss is strictly less, at step `since` or later."""
        is_better = (loss < self.loss) & (state.step >= since)
        new = Best(loss, state.step, state.params, state.batch_stats)
        best: Best = jax.tree.map(partial(jnp.where, is_better), new, self)
        return best


def curves_at(
    evaluate: Evaluate,
    state: TrainState,
    losses: Float[jax.Array, " steps"],
    validation: Examples,
    test: Examples,
    test_due: Bool[Array, ""] | None,
) -> Curves:
    """The curves at one evaluation, scalars each, of a state and the losses before it."""

    def measured() -> Metrics:
        return evaluate(state, test)

    def skipped() -> Metrics:
        names = jax.eval_shape(measured)
        return Metrics({name: jnp.float32(jnp.nan) for name in names})

    tested = measured() if test_due is None else jax.lax.cond(test_due, measured, skipped)
    return Curves(losses.mean(), evaluate(state, validation), tested)


def make_segment(
    apply_fn: Apply, tx: Optimizer, loss: Loss = CROSS_ENTROPY, chunk_size: int = 250
) -> Callable[..., tuple[TrainState, Best, Curves]]:
    """Makes a segment, which trains and evaluates in one compiled call.

    Its arguments: `(state, best, masks, batch_indices, train, validation, test, key,
    test_due)`, with `batch_indices` int32[V, T, B] and `test_due` bool[V]. After every T
    steps the validation split is evaluated, and the test split where it is due (None:
    always). Under `vmap` the members share `test_due`, so that what is not due takes no
    time. `best` is `Best.before(state)` at first; the key is as for `make_steps`. What
    comes of it is the state at the end, the `Best`, and the `Curves`.
    """
    steps = make_steps(apply_fn, tx, loss)
    evaluate = make_evaluate(apply_fn, loss, chunk_size)

    def segment(
        state: TrainState,
        best: Best,
        masks: Masks,
        batch_indices: Int[Array, "evaluations steps batch"],
        train: Examples,
        validation: Examples,
        test: Examples,
        key: jax.Array | None = None,
        test_due: Bool[Array, " evaluations"] | None = None,
    ) -> tuple[TrainState, Best, Curves]:
        chex.assert_rank(batch_indices, 3)

        def interval(
            now: tuple[TrainState, Best], at: tuple[Array, Array | None]
        ) -> tuple[tuple[TrainState, Best], Curves]:
            (state, best), (indices, due) = now, at
            state, losses = steps(state, masks, indices, train, key)
            found = curves_at(evaluate, state, losses, validation, test, due)
            return (state, best.or_better(state, found.validation["loss"])), found

        now, found = jax.lax.scan(interval, (state, best), (batch_indices, test_due))
        return *now, found

    return segment
