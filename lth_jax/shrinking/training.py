"""Compact training: a smaller net that trains as a masked one, and the way back."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from lth_jax.layout import Layout, layout_of, sizes
from lth_jax.masks import Masks, Params, named_leaves
from lth_jax.shrinking.dead_units import Units, backward, forward, live_edges
from lth_jax.shrinking.selection import (
    InputSelection,
    Selection,
    input_selection,
    resized,
    select,
)
from lth_jax.training.state import TrainState, map_moments, project


class CompactTraining(NamedTuple):
    """A net of the same family with fewer units, where a masked one's training starts.

    `lth_jax.from_linen(net.module, inputs, lambda x: net.inputs(prepare(x)))` is it as
    pure functions, with `prepare` the preprocessing of the large net.

    Attributes:
      module: the smaller net.
      state: where it starts.
      masks: of its params.
      inputs: which of the inputs it reads.
      selection: which units of the large net it has.
      start: the large net's state, masked.
      tx: the optimizer.
    """

    module: nn.Module
    state: TrainState
    masks: Masks
    inputs: InputSelection
    selection: Selection
    start: TrainState
    tx: optax.GradientTransformation

    def expand(self, state: TrainState) -> TrainState:
        """The large net's state, from the smaller one's (on the host).

        What was left out has the value it had at the start, 0 where it is pruned.
        """
        expanded: TrainState = jax.tree.map(
            jnp.asarray, put_state(self.selection, self.start, state, self.tx)
        )
        return expanded


def compact_for_training(
    module: Any, state: TrainState, masks: Masks, tx: optax.GradientTransformation
) -> CompactTraining:
    """A smaller net whose training is the masked net's, to rounding.

    It has not the units that cannot change it: those that reach no logit, and those that
    are 0 for ever, since nothing reaches them and their bias (their normalisation's
    scale and offset) is pruned too. Units that are constant by a bias that can be
    trained stay. Inputs that nothing reads are left out.

    What differs: with dropout, which units a key drops; with weight decay, what is left
    out does not decay; an optimizer that looks at whole leaves (LARS) sees smaller ones;
    moments of what is left out stay, where a large net's decay and move its weights as
    long as they last; running statistics where no logit is reached, and which a large
    net would go on to update, stay.

    Args:
      module: with a `layout` and `resized`, as it made the params.
      state: where the large net would start.
      masks: of its params.
      tx: the optimizer.

    Raises:
      AssertionError: on masks that do not fit the params.
      NoLayout: on a module without `layout` and `resized`.
      ValueError: on params of another net, or moments of other shapes than the params.
    """
    layout = layout_of(module, "compact_for_training", ("layout", "resized"))
    masks = jax.device_get(masks)
    start = jax.device_get(project(state, masks, tx))
    selection = select(layout, masks, needed_units(layout, masks))
    small, small_masks = jax.tree.map(
        jnp.asarray, (take_state(selection, start, tx), selection.take(masks))
    )
    return CompactTraining(
        resized(module, selection),
        small,
        small_masks,
        input_selection(selection, masks),
        selection,
        start,
        tx,
    )


def needed_units(layout: Layout, masks: Masks) -> Units:
    """The units that can change a logit while a masked net trains; masks on the host."""
    edges = live_edges(layout, masks)
    alive = forward(layout, edges, _sources(layout, masks))
    alive[layout[-1].name][:] = True  # a class stays, though its logit be 0 for ever
    reaching = backward(layout, edges, alive)
    return {name: alive[name] & reaching[name] for name in alive}


def take_state(
    selection: Selection, state: TrainState, tx: optax.GradientTransformation
) -> TrainState:
    """The smaller net's part of a state, on the host."""
    take = _of_params_shapes(selection.take, state.params)
    return dataclasses.replace(
        state,
        params=selection.take(state.params),
        batch_stats=selection.take(state.batch_stats),
        opt_state=map_moments(take, tx, state.opt_state),
    )


def put_state(
    selection: Selection,
    state: TrainState,
    part: TrainState,
    tx: optax.GradientTransformation,
) -> TrainState:
    """The larger net's state with the smaller one's put in, on the host."""
    return TrainState(
        part.step,
        selection.put(state.params, part.params),
        selection.put(state.batch_stats, part.batch_stats),
        map_moments(selection.put, tx, state.opt_state, part.opt_state),
    )


def _sources(layout: Layout, masks: Masks) -> Units:
    """Units that may be other than 0 though nothing reaches them."""
    mask_of = dict(named_leaves(masks))
    sources = {
        name: np.zeros(number, bool) for name, number in sizes(layout, masks).items()
    }
    for place in layout:
        for layer in place.layers:
            paths = [f"{layer.name}/bias"]
            if layer.norm:
                # By its scale: in evaluation, the running mean of a unit that was
                # trained before it lost its weights is not 0 at once.
                paths = [f"{layer.norm}/scale", f"{layer.norm}/bias"]
            for path in paths:
                if path in mask_of:
                    sources[place.name] |= mask_of[path]
    return sources


def _of_params_shapes(change: Callable[..., Any], params: Params) -> Callable[..., Any]:
    """As `change`, but refuses moments of other shapes than the params."""

    def checked(moments: Any, *others: Any) -> Any:
        for (path, moment), param in zip(
            named_leaves(moments), jax.tree.leaves(params), strict=True
        ):
            if moment.shape != param.shape:
                raise ValueError(
                    f"opt_state: a moment of {path} is {moment.shape}; must be"
                    f" {param.shape}, as the param"
                )
        return change(moments, *others)

    return checked
