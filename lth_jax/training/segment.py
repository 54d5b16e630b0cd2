"""Segment: training and evaluation in one compiled call."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from lth_jax.masks import Masks, Params
from lth_jax.training.evaluation import Evaluate, make_evaluate
from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss, Metrics
from lth_jax.training.state import Apply, Array, BatchStats, Optimizer, TrainState
from lth_jax.training.steps import make_steps

Part = tuple[Int[Array, ""], Int[Array, ""]]


class Curves(NamedTuple):
    """The curves of a segment, float32[V], one value at each of its V evaluations.

    `batch_loss` is the mean of the batches' losses since the evaluation before. Test
    metrics are NaN where the test split was not due.
    """

    batch_loss: Float[Array, " evaluations"]
    validation: Metrics
    test: Metrics


class Best(NamedTuple):
    """The net with the least validation loss so far; of equal losses, the first net."""

    loss: Float[Array, ""]  # infinite before any evaluation
    step: Int[jax.Array, ""]
    params: Params
    batch_stats: BatchStats

    @classmethod
    def before(cls, state: TrainState) -> "Best":
        """The best before any evaluation; the first finite loss replaces it."""
        return cls(jnp.float32(jnp.inf), state.step, state.params, state.batch_stats)

    @property
    def state(self) -> TrainState:
        """Its net as a state without the optimizer's moments."""
        return TrainState(self.step, self.params, self.batch_stats, ())

    def or_better(
        self, state: TrainState, loss: Float[Array, ""], since: int = 0
    ) -> "Best":
        """The better of the two: a state needs less loss, and a step from `since` on."""
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
    """The curves at one evaluation, float32[] each, from a state and its past losses."""

    def measured() -> Metrics:
        return evaluate(state, test)

    def skipped() -> Metrics:
        names = jax.eval_shape(measured)
        return Metrics({name: jnp.float32(jnp.nan) for name in names})

    tested = measured() if test_due is None else jax.lax.cond(test_due, measured, skipped)
    return Curves(losses.mean(), evaluate(state, validation), tested)


def over_evaluations(
    interval: Callable[..., tuple[Any, Curves]],
    now: Any,
    batch_indices: Int[Array, "evaluations steps batch"],
    test_due: Bool[Array, " evaluations"] | None,
    part: Part | None,
) -> tuple[Any, Curves]:
    """Runs a loop of `interval`, which trains up to an evaluation, over a segment.

    `interval` takes the carry, `now`, and an evaluation's batches, int32[T, B], and
    bool[], whether test is due. It returns the carry and the curves there. `part` is as
    for `make_segment`. A segment is cut by numbers that are known only when it runs. All
    its parts are therefore one compiled program: wherever it is cut, each step runs the
    same instructions on the same bits.
    """
    batch_indices = jnp.asarray(batch_indices)
    first, stop = (0, len(batch_indices)) if part is None else part

    def step(v: Array, carry: tuple[Any, Curves]) -> tuple[Any, Curves]:
        now, curves = carry
        due = None if test_due is None else jnp.asarray(test_due)[v]
        now, found = interval(now, batch_indices[v], due)
        return now, jax.tree.map(lambda all, one: all.at[v].set(one), curves, found)

    due = None if test_due is None else jnp.asarray(test_due)[0]
    shapes = jax.eval_shape(interval, now, batch_indices[0], due)[1]
    missing = jax.tree.map(
        lambda x: jnp.full((len(batch_indices), *x.shape), jnp.nan, x.dtype), shapes
    )
    result: tuple[Any, Curves] = jax.lax.fori_loop(first, stop, step, (now, missing))
    return result


def make_segment(
    apply_fn: Apply, tx: Optimizer, loss: Loss = CROSS_ENTROPY, chunk_size: int = 250
) -> Callable[..., tuple[TrainState, Best, Curves]]:
    """Makes a segment, which trains and evaluates in one compiled call.

    Its arguments are `(state, best, masks, batch_indices, train, validation, test, key,
    test_due, part)`, with `batch_indices` int32[V, T, B] and `test_due` bool[V]. After
    every T steps it evaluates the validation split, and the test split if it is due
    (None: always). Under `vmap` members should share `test_due`; then a test that is not
    due takes no time. `best` is `Best.before(state)` at first. The key is as for
    `make_steps`. `part` is (first, stop), int32[] each: it trains to evaluation first and
    on to the last one before stop (None: all). Parts in sequence return the same bits as
    the whole. It returns the state at the end, the `Best`, and the `Curves`, with NaN at
    the evaluations of other parts.
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
        part: Part | None = None,
    ) -> tuple[TrainState, Best, Curves]:
        chex.assert_rank(batch_indices, 3)

        def interval(
            now: tuple[TrainState, Best], indices: Array, due: Array | None
        ) -> tuple[tuple[TrainState, Best], Curves]:
            state, best = now
            state, losses = steps(state, masks, indices, train, key)
            found = curves_at(evaluate, state, losses, validation, test, due)
            return (state, best.or_better(state, found.validation["loss"])), found

        now, found = over_evaluations(
            interval, (state, best), batch_indices, test_due, part
        )
        return *now, found

    return segment
