"""Segment: training and evaluation in one compiled call."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from lth_jax.masks import Masks, Params
from lth_jax.training.evaluation import Evaluate, make_evaluate
from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss, Metrics
from lth_jax.training.state import (
    Apply,
    Array,
    BatchStats,
    Optimizer,
    TrainState,
    project,
)
from lth_jax.training.steps import check_batches, make_step

Part = tuple[Int[Array, ""], Int[Array, ""]]

# A GPU waits for the host after each block, since the host decides whether one follows.
_MOST_STEPS_PER_BLOCK = 10


def steps_per_block(num_steps: int, every: int | None = None) -> int:
    """The steps of a block, after each of which training can be cut.

    It is at most ten, and divides the steps between evaluations, and `every` if any.
    """
    common = math.gcd(num_steps, every or num_steps)
    sizes = range(min(common, _MOST_STEPS_PER_BLOCK), 0, -1)
    return next(size for size in sizes if common % size == 0)


class Curves(NamedTuple):
    """The curves of a segment, float32[V], one value at each of its V evaluations.

    `batch_loss` is the mean of the batches' losses since the evaluation before. Test
    metrics are NaN where the test split was not due.
    """

    batch_loss: Float[Array, " evaluations"]
    validation: Metrics
    test: Metrics


class Best(NamedTuple):
    """The net with the least validation loss so far; of equal losses, the first net.

    `loss_sum` is of the net in training: the sum of its batches' losses since the last
    evaluation.
    """

    loss: Float[Array, ""]  # infinite before any evaluation
    step: Int[jax.Array, ""]
    params: Params
    batch_stats: BatchStats
    loss_sum: Float[Array, ""]

    @classmethod
    def before(cls, state: TrainState) -> "Best":
        """The best before any evaluation; the first finite loss replaces it."""
        params, stats = state.params, state.batch_stats
        return cls(jnp.float32(jnp.inf), state.step, params, stats, jnp.float32(0))

    @property
    def state(self) -> TrainState:
        """Its net as a state without the optimizer's moments."""
        return TrainState(self.step, self.params, self.batch_stats, ())

    def after(self, batch_loss: Float[Array, ""]) -> "Best":
        """The same, after a step with this loss."""
        return self._replace(loss_sum=self.loss_sum + batch_loss)

    def or_better(
        self, state: TrainState, loss: Float[Array, ""], since: int = 0
    ) -> "Best":
        """The better of the two after an evaluation.

        A state needs less loss, and a step from `since` on.
        """
        is_better = (loss < self.loss) & (state.step >= since)
        none = jnp.zeros_like(self.loss_sum)
        new = Best(loss, state.step, state.params, state.batch_stats, none)
        old = self._replace(loss_sum=none)
        best: Best = jax.tree.map(partial(jnp.where, is_better), new, old)
        return best


def evaluated(
    evaluate: Evaluate,
    state: TrainState,
    best: Best,
    num_steps: int,
    splits: tuple[Examples, Examples],
    test_due: Bool[Array, ""] | None,
    since: int = 0,
) -> tuple[Best, Curves]:
    """The best after the evaluation of a state, and the curves there, float32[] each.

    `num_steps` is the number of steps since the last evaluation, `splits` is validation
    and test, and `since` is as for `Best.or_better`.
    """
    validation, test = splits

    def measured() -> Metrics:
        return evaluate(state, test)

    def skipped() -> Metrics:
        names = jax.eval_shape(measured)
        return Metrics({name: jnp.float32(jnp.nan) for name in names})

    tested = measured() if test_due is None else jax.lax.cond(test_due, measured, skipped)
    found = Curves(best.loss_sum / num_steps, evaluate(state, validation), tested)
    return best.or_better(state, found.validation["loss"], since), found


class Phases(NamedTuple):
    """What a segment consists of. Each phase takes the carry and returns it.

    `change(carry, indices)` comes before the first step after an evaluation, and before
    each further `every` steps up to the next one. `step(carry, indices)` is a training
    step. Their indices, int32[B], are of the step's batch. `measure(carry, num_steps,
    test_due)` evaluates, and also returns the curves there.
    """

    change: Callable[[Any, Array], Any]
    step: Callable[[Any, Array], Any]
    measure: Callable[[Any, int, Array | None], tuple[Any, Curves]]
    every: int | None = None  # None: only after evaluations


def run_segment(
    phases: Phases,
    carry: Any,
    batch_indices: Int[Array, "evaluations steps batch"],
    test_due: Bool[Array, " evaluations"] | None,
    part: Part | None,
) -> tuple[Any, Curves]:
    """Runs the phases over a segment, or over the steps from part[0] to part[1].

    `test_due` and `part` are as for `make_segment`. A segment is cut by numbers that are
    known only when it runs. All its parts are therefore one compiled program: wherever it
    is cut, each step runs the same instructions on the same bits.
    """
    batch_indices = jnp.asarray(batch_indices)
    num_evals, num_steps, _ = batch_indices.shape
    size = steps_per_block(num_steps, phases.every)
    every = min(phases.every or num_steps, num_steps)
    first, stop = (0, num_evals * num_steps) if part is None else part

    def next_step(carry: Any, indices: Array) -> tuple[Any, None]:
        return phases.step(carry, indices), None

    def interval(v: Array, before: tuple[Any, Curves]) -> tuple[Any, Curves]:
        """Trains from evaluation v - 1 to v, or through what `part` has of these."""
        carry, curves = before
        now: tuple[Any, Curves]
        batches = batch_indices[v]
        begin, end = (jnp.clip(x - v * num_steps, 0, num_steps) for x in (first, stop))

        def block(b: Array, carry: Any) -> Any:
            rows = jax.lax.dynamic_slice_in_dim(batches, b * size, size)
            return jax.lax.scan(next_step, carry, rows)[0]

        def chunk(c: Array, carry: Any) -> Any:
            start = jnp.maximum(begin, c * every)
            until = jnp.minimum(end, (c + 1) * every)
            indices = batches[jnp.minimum(start, num_steps - 1)]
            is_new = start == c * every
            carry = jax.lax.cond(is_new, phases.change, lambda x, _: x, carry, indices)
            return jax.lax.fori_loop(start // size, until // size, block, carry)

        def measured(carry: Any, curves: Curves) -> tuple[Any, Curves]:
            due = None if test_due is None else jnp.asarray(test_due)[v]
            carry, found = phases.measure(carry, num_steps, due)
            return carry, jax.tree.map(lambda x, one: x.at[v].set(one), curves, found)

        carry = jax.lax.fori_loop(begin // every, -(-end // every), chunk, carry)
        is_due = end == num_steps
        now = jax.lax.cond(is_due, measured, lambda *now: now, carry, curves)
        return now

    shapes = jax.eval_shape(lambda x: phases.measure(x, num_steps, None)[1], carry)
    missing = jax.tree.map(
        lambda x: jnp.full((num_evals, *x.shape), jnp.nan, x.dtype), shapes
    )
    intervals = first // num_steps, -(-stop // num_steps)
    result: tuple[Any, Curves] = jax.lax.fori_loop(*intervals, interval, (carry, missing))
    return result


def make_segment(
    apply_fn: Apply, tx: Optimizer, loss: Loss = CROSS_ENTROPY, chunk_size: int = 250
) -> Callable[..., tuple[TrainState, Best, Curves]]:
    """Makes a segment, which trains and evaluates in one compiled call.

    Its arguments are `(state, best, masks, batch_indices, train, validation, test, key,
    test_due, part)`, with `batch_indices` int32[V, T, B] and `test_due` bool[V]. After
    every T steps it evaluates the validation split, and the test split if it is due
    (None: always). Under `vmap` members should share `test_due` and `part`; then a test
    that is not due takes no time. `best` is `Best.before(state)` at first. The key is as
    for `make_steps`. It returns the state at the end, the `Best`, and the `Curves`.

    `part` is (first, stop), int32[] each, of the V T steps: it trains from step first up
    to step stop (None: all). Both must be multiples of
    `training.segment.steps_per_block(T)`. Parts in sequence return the same bits as the
    whole. A part's curves are NaN at the evaluations of other parts. Between evaluations,
    moments of pruned weights may differ from 0.
    """
    step = make_step(apply_fn, tx, loss)
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
        check_batches(batch_indices, train, rank=3)
        Carry = tuple[TrainState, Best]

        def change(now: Carry, indices: Array) -> Carry:
            return project(now[0], masks, tx), now[1]

        def next_step(now: Carry, indices: Array) -> Carry:
            state, found = step(now[0], masks, indices, train, key)
            return state, now[1].after(found)

        def measure(
            now: Carry, num_steps: int, due: Array | None
        ) -> tuple[Carry, Curves]:
            state, splits = project(now[0], masks, tx), (validation, test)
            best, found = evaluated(evaluate, state, now[1], num_steps, splits, due)
            return (state, best), found

        phases = Phases(change, next_step, measure)
        now, found = run_segment(phases, (state, best), batch_indices, test_due, part)
        return *now, found

    return segment
