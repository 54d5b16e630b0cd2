"""Training one masked member: state, steps, evaluation, segment.

Everything here is pure and knows one member; batching members is the caller's
business (`jax.vmap`, or `lth_jax.parallel`). Masks are traced arguments, so that
one compilation serves every level.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from lth_jax.core import masks as masks_lib
from lth_jax.core.masks import Masks, Params

BatchStats = Any  # a pytree of arrays; empty for nets without batch normalisation
Array = jax.Array | np.ndarray

# A network as a pure function: (params, batch_stats, inputs, train, key) to logits and,
# in training, the new batch statistics; otherwise those it was given. The key, for
# dropout and augmentation, is None in evaluation, and where training was given none.
Apply = Callable[
    [Params, BatchStats, jax.Array, bool, jax.Array | None],
    tuple[jax.Array, BatchStats],
]


class Examples(NamedTuple):
    """Examples of one split: inputs of any dtype [N, ...], labels int32[N]."""

    inputs: Array
    labels: Array


class Metrics(NamedTuple):
    """Means over the examples: cross-entropy in nats, accuracy in [0, 1]."""

    loss: Array
    accuracy: Array


@flax.struct.dataclass
class TrainState:
    """All that changes while a member trains: arrays alone.

    Attributes:
      step: int32 scalar, where in its budget the member is.
      params: the weights; pruned entries are exactly 0.
      batch_stats: running statistics of batch normalisation.
      opt_state: the optimizer's; its moments are 0 where params are pruned.
    """

    step: jax.Array
    params: Params
    batch_stats: BatchStats
    opt_state: optax.OptState


Loss = Callable[..., tuple[jax.Array, BatchStats]]
Steps = Callable[..., tuple[TrainState, jax.Array]]
Evaluate = Callable[[TrainState, Examples], Metrics]


def project(state: TrainState, masks: Masks) -> TrainState:
    """The state with every pruned entry of params and of their moments exactly 0.

    Of the moments (see `map_moments`), leaf by leaf where the shape is the param's too.
    """

    def mask_moments(moments: Any) -> Any:
        return jax.tree.map(
            lambda m, x: jnp.where(m, x, jnp.zeros_like(x)) if x.shape == m.shape else x,
            masks,
            moments,
        )

    return dataclasses.replace(
        state,
        params=masks_lib.apply(masks, state.params),
        opt_state=map_moments(mask_moments, masks, state.opt_state),
    )


def map_moments(
    change: Callable[..., Any],
    params: Params,
    opt_state: optax.OptState,
    *others: optax.OptState,
) -> optax.OptState:
    """The optimizer's state with its moments changed; otherwise the last state given.

    Moments are its parts that have the params' structure.

    Args:
      change: of the moments, and of those of each other state, to new ones.
      params: or anything of their structure.
      opt_state: the state.
      *others: states of the same optimizer.
    """
    structure: Any = jax.tree.structure(params)

    def is_moments(node: Any) -> bool:
        return bool(structure == jax.tree.structure(node))

    def changed(node: Any, *parts: Any) -> Any:
        return change(node, *parts) if is_moments(node) else (node, *parts)[-1]

    return jax.tree.map(changed, opt_state, *others, is_leaf=is_moments)


def make_loss(apply_fn: Apply) -> Loss:
    """Makes `loss(params, batch_stats, inputs, labels, key)`.

    Gives the batch's mean cross-entropy, and the new batch statistics.
    """

    def loss_fn(
        params: Params,
        batch_stats: BatchStats,
        inputs: jax.Array,
        labels: jax.Array,
        key: jax.Array | None,
    ) -> tuple[jax.Array, BatchStats]:
        logits, batch_stats = apply_fn(params, batch_stats, inputs, True, key)
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), batch_stats

    return loss_fn


def make_steps(apply_fn: Apply, tx: optax.GradientTransformation) -> Steps:
    """Makes `steps(state, masks, batch_indices, examples, key) -> (state, losses)`.

    It runs one optimizer step for each row of `batch_indices` (int32[T, B]) as a
    `lax.scan` over examples that are on the device, and returns the batches' mean
    cross-entropies, float32[T]. The key, by default None, is the member's, for nets that
    draw (dropout, augmentation); a step draws with `fold_in(key, step)`.

    The params are projected on entry and after every update, so the forward pass always
    sees masked params; gradients are masked before `tx.update`, so clipping and moments
    see live weights only. Moments are projected on entry and at the end, for optimizers
    that fill them with more than gradients.
    """
    loss_fn = make_loss(apply_fn)

    def steps(
        state: TrainState,
        masks: Masks,
        batch_indices: jax.Array,
        examples: Examples,
        key: jax.Array | None = None,
    ) -> tuple[TrainState, jax.Array]:
        chex.assert_rank(batch_indices, 2)
        chex.assert_type(batch_indices, int)
        inputs, labels = examples
        chex.assert_rank(labels, 1)

        def step(state: TrainState, indices: jax.Array) -> tuple[TrainState, jax.Array]:
            (loss, batch_stats), gradients = jax.value_and_grad(loss_fn, has_aux=True)(
                state.params,
                state.batch_stats,
                inputs[indices],
                labels[indices],
                None if key is None else jax.random.fold_in(key, state.step),
            )
            gradients = masks_lib.apply(masks, gradients)
            updates, opt_state = tx.update(gradients, state.opt_state, state.params)
            params = optax.apply_updates(state.params, updates)
            params = masks_lib.apply(masks, params)
            return TrainState(state.step + 1, params, batch_stats, opt_state), loss

        state, losses = jax.lax.scan(step, project(state, masks), batch_indices)
        return project(state, masks), losses

    return steps


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
    apply_fn: Apply, tx: optax.GradientTransformation, chunk_size: int = 250
) -> Segment:
    """Makes `segment(state, masks, batch_indices, train, validation, test, key)`.

    A segment trains and evaluates in one compiled call: `batch_indices` is
    int32[V, T, B], and after every T steps both held-out splits are evaluated.
    The key is as for `make_steps`. Returns the state at its end and the `Curves`.
    """
    steps = make_steps(apply_fn, tx)
    curves = make_curves(make_evaluate(apply_fn, chunk_size))

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
