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
from lth_jax.training.segment import Best, Curves, Part, Phases, evaluated, run_segment
from lth_jax.training.state import Apply, Array, Optimizer, TrainState, project
from lth_jax.training.steps import check_batches, make_step, make_steps


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
    change = _make_change(apply_fn, tx, dynamics, loss)
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

        def block(now: Changing, batches: jax.Array) -> tuple[Changing, jax.Array]:
            state, masks = change(now, goal, batches[0], examples, key, mask_key)
            state, losses = static_steps(state, masks, batches, examples, key)
            return Changing(state, masks), losses

        now = Changing(state, masks)
        now, parts = scan_in_chunks(block, now, batch_indices, dynamics.every)
        return now, jnp.concatenate([losses.ravel() for losses in parts])

    return steps


def _make_change(
    apply_fn: Apply, tx: Optimizer, dynamics: Dynamics, loss: Loss
) -> Callable[..., Changing]:
    """Makes `change(now, goal, indices, examples, key, mask_key)`.

    It makes the update of the masks that is due before the step, if any, and projects the
    state. Weights that grow start at 0, and so do their moments: they were pruned so far.
    """
    gradient = jax.grad(make_loss(apply_fn, loss), has_aux=True)

    def change(
        now: Changing,
        goal: Counts,
        indices: Int[Array, " batch"],
        examples: Examples,
        key: jax.Array | None,
        mask_key: jax.Array | None,
    ) -> Changing:
        chex.assert_trees_all_equal_structs(now.masks, goal)
        state = project(now.state, now.masks, tx)

        def gradients() -> Params:
            batch = [split[indices] for split in examples]
            net_key = at_step(key, state.step)
            return gradient(state.params, state.batch_stats, *batch, net_key)[0]

        own_key = at_step(mask_key, state.step)
        moment = Moment(state.params, now.masks, goal, gradients, own_key)
        masks = dynamics.updated(state.step, moment)
        return Changing(project(state, masks, tx), masks)

    return change


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
    change_masks = _make_change(apply_fn, tx, dynamics, loss)
    step = make_step(apply_fn, tx, loss)
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
        check_batches(batch_indices, train, rank=3)
        Carry = tuple[Changing, Best]

        def change(carry: Carry, indices: Array) -> Carry:
            now = change_masks(carry[0], goal, indices, train, key, mask_key)
            return now, carry[1]

        def next_step(carry: Carry, indices: Array) -> Carry:
            (state, masks), best = carry
            state, found = step(state, masks, indices, train, key)
            return Changing(state, masks), best.after(found)

        def measure(
            carry: Carry, num_steps: int, due: Array | None
        ) -> tuple[Carry, Curves]:
            (state, masks), best = carry
            state, since = project(state, masks, tx), dynamics.goal_step
            more = num_steps, (validation, test), due, since
            best, found = evaluated(evaluate, state, best, *more)
            return (Changing(state, masks), best), found

        phases = Phases(change, next_step, measure, dynamics.every)
        begin = Changing(state, masks), best
        carry, found = run_segment(phases, begin, batch_indices, test_due, part)
        return *carry, found

    return segment
