"""Compact training: smaller nets that train as masked ones, and their expansion."""

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lth_jax.layout import INPUTS, Layout, layout_of
from lth_jax.masks import Masks, named_leaves
from lth_jax.shrinking.dead_units import Units, backward, forward, live_edges
from lth_jax.shrinking.selection import InputSelection, Selection, select, select_alike
from lth_jax.training.state import Optimizer, TrainState, map_moments, project
from lth_jax.wiring import wire

# Inputs are selected if a net reads at most this share. With more, the selection in
# every step takes as long as it saves.
_WORTH_CHOOSING = 0.75


class CompactTraining(NamedTuple):
    """A net of the same family with fewer units, at the start of a masked net's training.

    `lth_jax.from_linen(net.module, inputs, lambda x: net.inputs(prepare(x)))` returns its
    pure functions. `prepare` is the preprocessing of the large net.
    """

    module: nn.Module  # the smaller net
    state: TrainState  # its first state
    masks: Masks
    inputs: InputSelection  # the inputs that it reads
    selection: Selection  # the units of the large net that it has
    start: TrainState  # the large net's first state, masked
    tx: Optimizer

    def expand(self, state: TrainState) -> TrainState:
        """The large net's state, from the smaller net's (on the host).

        Weights that the smaller net lacks have their values at the start, 0 if pruned.
        """
        large = _put_state(self.selection, self.start, state, self.tx)
        expanded: TrainState = jax.tree.map(jnp.asarray, large)
        return expanded


class CompactMembers(NamedTuple):
    """Nets of one shape and family, at the start of several masked nets' training.

    Its fields are those of `CompactTraining`, with a leading axis M, the members, on the
    host. A member's net is that of `CompactTraining`, with the inputs
    `InputSelection(kept, is_flat)` of its own `kept`, which may be traced.
    """

    module: nn.Module
    states: TrainState
    masks: Masks
    kept: np.ndarray | None  # the inputs that they read, int32[M, kept]; None: all
    is_flat: bool  # whether these are features of the flattened inputs, or channels
    selections: tuple[Selection, ...]
    starts: TrainState
    tx: Optimizer

    def expand(self, states: TrainState) -> TrainState:
        """The large nets' states, from the smaller nets', as `CompactTraining.expand`."""
        states = jax.device_get(states)
        parts = zip(self.selections, _members(self.starts), _members(states), strict=True)
        large: TrainState = _stacked([_put_state(*part, self.tx) for part in parts])
        return large


def compact_for_training(
    module: Any, state: TrainState, masks: Masks, tx: Optimizer
) -> CompactTraining:
    """A smaller net whose training is the masked net's, to rounding.

    It lacks the units that cannot change the training. Some reach no logit. Others are
    always 0: no input reaches them, and their bias (or the scale and offset of their
    normalisation) is pruned. Units with a constant value from a trainable bias stay.
    Inputs that no layer reads are left out.

    These things differ. With dropout, a key drops other units. With weight decay, weights
    that are left out do not decay. An optimizer that reads whole leaves (LARS) reads
    smaller ones. Moments that are left out stay; in the large net they decay, and move
    their weights meanwhile. Running statistics that reach no logit also stay, and the
    large net would update them.

    Raises:
      AssertionError: on masks that do not fit the params.
      NoLayout: on a module without `layout` and `resized`.
      ValueError: on params of another net, or moments of other shapes than the params.
    """
    layout = layout_of(module, "compact_for_training", ("layout", "resized"))
    masks = jax.device_get(masks)
    start = jax.device_get(project(state, masks, tx))
    selection = select(layout, masks, needed_units(layout, masks))
    part = _take_state(selection, start, tx), selection.take(masks)
    small, small_masks = jax.tree.map(jnp.asarray, part)
    inputs, smaller = selection.inputs(), selection.resized(module)
    return CompactTraining(smaller, small, small_masks, inputs, selection, start, tx)


def compact_members(
    module: Any, states: TrainState, masks: Masks, tx: Optimizer
) -> CompactMembers:
    """`compact_for_training` for several members, whose smaller nets have one shape.

    Each net has the units that it needs. More units, which change nothing, fill each
    place to the size that the largest net needs. Inputs are left out if no member reads
    more than three in four. States and masks have a leading axis M.

    Raises:
      AssertionError, NoLayout, ValueError: as `compact_for_training`.
    """
    layout = layout_of(module, "compact_members", ("layout", "resized"))
    masks = jax.device_get(masks)
    starts = jax.device_get(jax.vmap(lambda s, m: project(s, m, tx))(states, masks))
    own = _members(masks)
    needed = [needed_units(layout, m) for m in own]
    if max(units[INPUTS].mean() for units in needed) > _WORTH_CHOOSING:
        needed = [units | {INPUTS: np.ones_like(units[INPUTS])} for units in needed]
    selections = select_alike(layout, own[0], needed)
    members = zip(selections, _members(starts), own, strict=True)
    parts = [(_take_state(s, start, tx), s.take(m)) for s, start, m in members]
    small, small_masks = _stacked(parts)
    inputs, smaller = selections[0].inputs(), selections[0].resized(module)
    kept = None
    if inputs.kept is not None:
        kept = np.stack([each.units[INPUTS] for each in selections]).astype(np.int32)
    return CompactMembers(
        smaller, small, small_masks, kept, inputs.is_flat, selections, starts, tx
    )


def needed_units(layout: Layout, masks: Masks) -> Units:
    """The units that can change a logit while a masked net trains; masks on the host."""
    edges = live_edges(layout, masks)
    alive = forward(layout, edges, _sources(layout, masks))
    alive[layout[-1].name][:] = True  # a class stays, even if its logit is always 0
    reaching = backward(layout, edges, alive)
    return {name: alive[name] & reaching[name] for name in alive}


def _sources(layout: Layout, masks: Masks) -> Units:
    """Units that can differ from 0 although no input reaches them."""
    mask_of, wiring = dict(named_leaves(masks)), wire(layout, masks)
    sources = {name: np.zeros(number, bool) for name, number in wiring.sizes.items()}
    for place in layout:
        for layer in place.layers:
            # The norm's scale counts too. A unit may lose its weights after training; its
            # running mean is then not 0 at once, in evaluation.
            for path in wiring.vectors[layer.norm or layer.name]:
                sources[place.name] |= mask_of[path].ravel()
            if layer.norm and not wiring.scale(layer):
                sources[place.name][:] = True
    return sources


def _take_state(selection: Selection, state: TrainState, tx: Optimizer) -> TrainState:
    """The smaller net's part of a state, on the host."""

    def take(moments: Any) -> Any:
        params = jax.tree.leaves(state.params)
        for (path, moment), param in zip(named_leaves(moments), params, strict=True):
            if moment.shape != param.shape:
                raise ValueError(
                    f"opt_state: a moment of {path} is {moment.shape}; must be"
                    f" {param.shape}, as the param"
                )
        return selection.take(moments)

    return dataclasses.replace(
        state,
        params=selection.take(state.params),
        batch_stats=selection.take(state.batch_stats),
        opt_state=map_moments(take, tx, state.opt_state),
    )


def _put_state(
    selection: Selection, state: TrainState, part: TrainState, tx: Optimizer
) -> TrainState:
    """The larger net's state with the values of the smaller net's, on the host."""
    return TrainState(
        part.step,
        selection.put(state.params, part.params),
        selection.put(state.batch_stats, part.batch_stats),
        map_moments(selection.put, tx, state.opt_state, part.opt_state),
    )


def _members(tree: Any) -> list[Any]:
    leaves, structure = jax.tree.flatten(tree)
    return [jax.tree.unflatten(structure, own) for own in zip(*leaves, strict=True)]


def _stacked(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
