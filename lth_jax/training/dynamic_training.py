"""Dynamic training: steps and segments of one member whose masks change."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from lth_jax.masks import Masks, Params
from lth_jax.training.connections import Counts
from lth_jax.training.dynamics import Dynamics, Moment
from lth_jax.training.evaluation import make_evaluate, scan_in_chunks
from lth_jax.training.keys import at_step
from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss, make_loss
from lth_jax.training.segment import Best, Curves, Part, curves_at, over_evaluations
from lth_jax.training.state import Apply, Array, Optimizer, TrainState, project
from lth_jax.training.steps import make_steps


class Changing(NamedTuple):
    """A state, and the masks that project it."""

    state: TrainState
    masks: Masks


def make_dynamic_steps(
    apply_fn: Apply, tx: Optimizer, dynamics: Dynamics, loss: Loss = CROSS_ENTROPY
) -> Callable[..., tuple[Changing, jax.Array]]:
    """Makes `steps(state, masks, goal, batch_indices, examples, key, mask_key)`.

    They are the steps of `make_steps`, in blocks of `dynamics.every`. Before a block the
    masks change if an update is due. A call must therefore start at a multiple of
    `every`, or contain none. An update draws with `fold_in(mask_key, step)`, and its
    gradients are of the next batch.

    An update takes the place of no step, so that the budget is that of static masks; in
    Evci et al. 2020 it replaces a step. A weight that grows starts at 0, and so do its
    moments. A weight that is dropped and grown again at once keeps both, as in their
    code. The steps return `Changing` and the batches' losses, float32[T].
    """
    gradient = jax.grad(make_loss(apply_fn, loss), has_aux=True)
    static_steps = make_steps(apply_fn, tx, loss)

    def steps(
        state: TrainState,
        masks: Masks,
        goal: Counts,
        batch_indices: Int[Array, "steps batch"],
        examples: Examples,
        key: jax.Array | None = None,
        mask_key: jax.Array | None = None,
    ) -> tuple[Changing, Float[jax.Array, " steps"]]:
        chex.assert_rank(batch_indices, 2)
        chex.assert_trees_all_equal_structs(masks, goal)

        def block(now: Changing, batches: jax.Array) -> tuple[Changing, jax.Array]:
            state, masks = now

            def gradients() -> Params:
                batch = [split[batches[0]] for split in examples]
                net_key = at_step(key, state.step)
                return gradient(state.params, state.batch_stats, *batch, net_key)[0]

            own_key = at_step(mask_key, state.step)
            moment = Moment(state.params, masks, goal, gradients, own_key)
            masks = dynamics.updated(state.step, moment)
            # Weights that grow are 0, and so are their moments: they were pruned so far.
            state, losses = static_steps(state, masks, batches, examples, key)
            return Changing(state, masks), losses

        now = Changing(project(state, masks, tx), masks)
        now, parts = scan_in_chunks(block, now, batch_indices, dynamics.every)
        return now, jnp.concatenate([losses.ravel() for losses in parts])

    return steps


def make_dynamic_segment(
    apply_fn: Apply,
    tx: Optimizer,
    dynamics: Dynamics,
    loss: Loss = CROSS_ENTROPY,
    chunk_size: int = 250,
) -> Callable[..., tuple[Changing, Best, Curves]]:
    """Makes a segment, as `make_segment`, from the steps of `make_dynamic_steps`.

    Its arguments are `(state, best, masks, goal, batch_indices, train, validation, test,
    key, mask_key, test_due, part)`. All except `goal` and `mask_key` are as for
    `make_segment`. It returns `Changing`, the `Best` since `dynamics.goal_step`, and the
    `Curves`.
    """
    steps = make_dynamic_steps(apply_fn, tx, dynamics, loss)
    evaluate = make_evaluate(apply_fn, loss, chunk_size)

    def segment(
        state: TrainState,
        best: Best,
        masks: Masks,
        goal: Counts,
        batch_indices: Int[Array, "evaluations steps batch"],
        train: Examples,
        validation: Examples,
        test: Examples,
        key: jax.Array | None = None,
        mask_key: jax.Array | None = None,
        test_due: Bool[Array, " evaluations"] | None = None,
        part: Part | None = None,
    ) -> tuple[Changing, Best, Curves]:
        chex.assert_rank(batch_indices, 3)

        def interval(
            carry: tuple[Changing, Best], indices: Array, due: Array | None
        ) -> tuple[tuple[Changing, Best], Curves]:
            now, best = carry
            now, losses = steps(*now, goal, indices, train, key, mask_key)
            found = curves_at(evaluate, now.state, losses, validation, test, due)
            loss = found.validation["loss"]
            return (now, best.or_better(now.state, loss, dynamics.goal_step)), found

        begin = Changing(state, masks), best
        carry, found = over_evaluations(interval, begin, batch_indices, test_due, part)
        return *carry, found

    return segment
