"""Steps: one member's masked training, step after step.

The functions are pure and train one member. The caller batches members (`jax.vmap`, or
`lth_jax.devices`). Masks are traced arguments, and one compilation serves every level.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from lth_jax import masks as masks_lib
from lth_jax.masks import Masks
from lth_jax.training.keys import at_step
from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss, make_loss
from lth_jax.training.state import Apply, Array, Optimizer, TrainState, project

Step = Callable[..., tuple[TrainState, jax.Array]]
Steps = Callable[..., tuple[TrainState, jax.Array]]


def make_step(apply_fn: Apply, tx: Optimizer, loss: Loss = CROSS_ENTROPY) -> Step:
    """Makes `step(state, masks, indices, examples, key) -> (state, loss)`.

    It is one optimizer step on the examples at `indices`, int32[B]. It returns the mean
    loss of this batch, float32[]. The key is as for `make_steps`. The state must be
    projected (`project`) before the first of several steps, and after the last one: in
    between, some optimizers fill the moments of pruned weights with more than gradients.
    Params are masked after each step.
    """
    loss_of = make_loss(apply_fn, loss)
    loss_and_gradients = jax.value_and_grad(loss_of, has_aux=True)
    update = optax.with_extra_args_support(tx).update

    def step(
        state: TrainState,
        masks: Masks,
        indices: Int[jax.Array, " batch"],
        examples: Examples,
        key: jax.Array | None,
    ) -> tuple[TrainState, Float[jax.Array, ""]]:
        inputs, labels = examples
        params, stats = state.params, state.batch_stats
        batch = inputs[indices], labels[indices], at_step(key, state.step)
        (found, new_stats), gradients = loss_and_gradients(params, stats, *batch)
        # For complex params JAX returns the conjugate of the steepest ascent.
        gradients = jax.tree.map(jnp.conj, masks_lib.apply(masks, gradients))
        updates, opt_state = update(
            gradients,
            state.opt_state,
            params,
            value=found,
            grad=gradients,
            value_fn=lambda p: loss_of(masks_lib.apply(masks, p), stats, *batch)[0],
        )
        params = masks_lib.apply(masks, optax.apply_updates(params, updates))
        return TrainState(state.step + 1, params, new_stats, opt_state), found

    return step


def make_steps(apply_fn: Apply, tx: Optimizer, loss: Loss = CROSS_ENTROPY) -> Steps:
    """Makes `steps(state, masks, batch_indices, examples, key) -> (state, losses)`.

    It runs one optimizer step for each row of `batch_indices` (int32[T, B]), as a
    `lax.scan` over examples that are on the device. It returns the batches' mean losses,
    float32[T]. The key is the member's, for nets that draw (dropout, augmentation); by
    default it is None. A step draws with `fold_in(key, step)`.

    Params are projected on entry and after every update, so that the forward pass always
    sees masked params. Gradients are masked before `tx.update`, so that clipping and
    moments see live weights only. Some optimizers fill moments with more than gradients;
    moments are therefore projected on entry and at the end. Optimizers may ask for the
    batch's loss (`value`), its gradients (`grad`) and its function (`value_fn`).
    """
    step = make_step(apply_fn, tx, loss)

    def steps(
        state: TrainState,
        masks: Masks,
        batch_indices: Int[Array, "steps batch"],
        examples: Examples,
        key: jax.Array | None = None,
    ) -> tuple[TrainState, Float[jax.Array, " steps"]]:
        check_batches(batch_indices, examples, rank=2)

        def next_step(
            state: TrainState, indices: Int[jax.Array, " batch"]
        ) -> tuple[TrainState, Float[jax.Array, ""]]:
            return step(state, masks, indices, examples, key)

        batches = jnp.asarray(batch_indices)
        state, losses = jax.lax.scan(next_step, project(state, masks, tx), batches)
        return project(state, masks, tx), losses

    return steps


def check_batches(batch_indices: Array, examples: Examples, rank: int) -> None:
    """Raises an AssertionError unless indices are whole numbers of this rank."""
    chex.assert_rank(batch_indices, rank)
    chex.assert_type(batch_indices, int)
    chex.assert_equal_shape_prefix(tuple(examples), 1)
