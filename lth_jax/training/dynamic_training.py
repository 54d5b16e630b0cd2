"""Training one member whose masks change: as `training`, with the masks in the carry."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from lth_jax.masks import Masks, Params
from lth_jax.training.connections import Counts
from lth_jax.training.dynamics import Dynamics, Moment
from lth_jax.training.evaluation import make_evaluate
from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss, make_loss
from lth_jax.training.segment import Best, Curves, make_curves
from lth_jax.training.state import Apply, TrainState, project
from lth_jax.training.steps import make_steps


class Changing(NamedTuple):
    """A state, and the masks that it is projected by."""

    state: TrainState
    masks: Masks


DynamicSteps = Callable[..., tuple[Changing, jax.Array]]
DynamicSegment = Callable[..., tuple[Changing, Best, Curves]]


def make_dynamic_steps(
    apply_fn: Apply,
    tx: optax.GradientTransformation,
    dynamics: Dynamics,
    loss: Loss = CROSS_ENTROPY,
) -> DynamicSteps:
    """Makes `steps(state, masks, goal, batch_indices, examples, key, mask_key)`.

    As the steps of `make_steps`, in blocks of `dynamics.every`, before each of which the
    masks change if an update is due. So a call starts at a multiple of `every`, or has
    none within it; then it can be cut anywhere. An update draws with
    `fold_in(mask_key, step)`, and its gradients are of the batch that comes next.

    Every step is taken, so that the budget is that of static masks (in Evci et al. 2020
    an update stands for a step). A weight that grows starts at 0, its moments too; one
    that is dropped and grown again at once keeps both, as in their code.

    Returns:
      `Changing`, and the batches' losses, float32[T].
    """
    loss_fn, static_steps = make_loss(apply_fn, loss), make_steps(apply_fn, tx, loss)

    def steps(
        state: TrainState,
        masks: Masks,
        goal: Counts,
        batch_indices: jax.Array,
        examples: Examples,
        key: jax.Array | None = None,
        mask_key: jax.Array | None = None,
    ) -> tuple[Changing, jax.Array]:
        chex.assert_rank(batch_indices, 2)
        chex.assert_trees_all_equal_structs(masks, goal)
        inputs, labels = examples

        def updated(state: TrainState, masks: Masks, batch: jax.Array) -> Masks:
            def gradients() -> Params:
                found, _ = jax.grad(loss_fn, has_aux=True)(
                    state.params,
                    state.batch_stats,
                    inputs[batch],
                    labels[batch],
                    _at_step(key, state.step),
                )
                return found

            own_key = _at_step(mask_key, state.step)
            moment = Moment(state.params, masks, goal, gradients, own_key)
            amount = dynamics.amount(state.step)
            return jax.lax.cond(
                amount > 0, lambda: dynamics.update(amount, moment), lambda: masks
            )

        def block(now: Changing, batches: jax.Array) -> tuple[Changing, jax.Array]:
            # What grows is 0, and so are its moments: they were pruned until now.
            masks = updated(*now, batches[0])
            state, losses = static_steps(now.state, masks, batches, examples, key)
            return Changing(state, masks), losses

        now = Changing(project(state, masks, tx), masks)
        every, number = dynamics.every, len(batch_indices)
        whole = number - number % every
        parts = []
        if whole:
            blocks = batch_indices[:whole].reshape(-1, every, batch_indices.shape[1])
            now, losses = jax.lax.scan(block, now, blocks)
            parts.append(losses.ravel())
        if whole < number:
            now, losses = block(now, batch_indices[whole:])
            parts.append(losses)
        return now, jnp.concatenate(parts)

    return steps


def make_dynamic_segment(
    apply_fn: Apply,
    tx: optax.GradientTransformation,
    dynamics: Dynamics,
    loss: Loss = CROSS_ENTROPY,
    chunk_size: int = 250,
) -> DynamicSegment:
    """Makes a segment that is to `make_dynamic_steps` as `make_segment` to `make_steps`.

    Its arguments: `(state, best, masks, goal, batch_indices, train, validation, test,
    key, mask_key, test_due)`, the others as there.

    Returns:
      `Changing`, the `Best` from `dynamics.goal_step` on, and the `Curves`.
    """
    steps = make_dynamic_steps(apply_fn, tx, dynamics, loss)
    curves = make_curves(make_evaluate(apply_fn, loss, chunk_size))

    def segment(
        state: TrainState,
        best: Best,
        masks: Masks,
        goal: Counts,
        batch_indices: jax.Array,
        train: Examples,
        validation: Examples,
        test: Examples,
        key: jax.Array | None = None,
        mask_key: jax.Array | None = None,
        test_due: jax.Array | None = None,
    ) -> tuple[Changing, Best, Curves]:
        chex.assert_rank(batch_indices, 3)

        def interval(
            carry: tuple[Changing, Best], at: tuple[jax.Array, jax.Array | None]
        ) -> tuple[tuple[Changing, Best], Curves]:
            (now, best), (indices, due) = carry, at
            now, losses = steps(*now, goal, indices, train, key, mask_key)
            found = curves(now.state, losses, validation, test, due)
            loss = found.validation["loss"]
            return (now, best.or_better(now.state, loss, dynamics.goal_step)), found

        begin = Changing(state, masks), best
        carry, found = jax.lax.scan(interval, begin, (batch_indices, test_due))
        return *carry, found

    return segment


def _at_step(key: jax.Array | None, step: jax.Array) -> jax.Array | None:
    return None if key is None else jax.random.fold_in(key, step)
