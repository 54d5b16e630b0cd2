"""Members: smaller nets of one shape that train as several masked ones do."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
import optax

from lth_jax.layout import INPUTS, layout_of
from lth_jax.masks import Masks
from lth_jax.shrinking.selection import Selection, input_selection, resized, select_alike
from lth_jax.shrinking.training import needed_units, put_state, take_state
from lth_jax.training.state import TrainState, project

_WORTH_CHOOSING = 0.75  # of the inputs: choosing more in every step takes what it saves


class CompactMembers(NamedTuple):
    """Nets of the same family with fewer units, where masked ones' training starts.

    Every array has a leading axis M, of the members. With `InputSelection(kept, is_flat)`
    of one member's `kept`, which may be traced, its net is that of `CompactTraining`.

    Attributes:
      module: the smaller net.
      states: where they start.
      masks: of their params.
      kept: which of the inputs they read, int32[M, kept]; None for all.
      is_flat: whether inputs are features of the flattened ones, or channels.
      selections: which units of the large net each has.
      starts: the large nets' states, masked; on the host.
      tx: the optimizer.
    """

    module: nn.Module
    states: TrainState
    masks: Masks
    kept: np.ndarray | None
    is_flat: bool
    selections: tuple[Selection, ...]
    starts: TrainState
    tx: optax.GradientTransformation

    def expand(self, states: TrainState) -> TrainState:
        """The large nets' states, from the smaller ones', as `CompactTraining.expand`."""
        states = jax.device_get(states)
        expanded: TrainState = _stacked(
            [
                put_state(selection, _member(self.starts, m), _member(states, m), self.tx)
                for m, selection in enumerate(self.selections)
            ]
        )
        return expanded


def compact_members(
    module: Any, states: TrainState, masks: Masks, tx: optax.GradientTransformation
) -> CompactMembers:
    """`compact_for_training` of several members, whose smaller nets have one shape.

    Each has the units that it needs, and as many that it does not need as make its size
    that of the largest in each place; those change nothing. Inputs are left out where
    no member reads more than three in four.

    Args:
      module: with a `layout` and `resized`, as it made the params.
      states: where the large nets would start; leading axis M.
      masks: of their params; leading axis M.
      tx: the optimizer.

    Raises:
      AssertionError: on masks that do not fit the params.
      NoLayout: on a module without `layout` and `resized`.
      ValueError: on params of another net, or moments of other shapes than the params.
    """
    layout = layout_of(module, "compact_members", ("layout", "resized"))
    masks = jax.device_get(masks)
    starts = jax.device_get(jax.vmap(lambda s, m: project(s, m, tx))(states, masks))
    own = [_member(masks, m) for m in range(len(jax.tree.leaves(masks)[0]))]
    needed = [needed_units(layout, m) for m in own]
    if max(units[INPUTS].mean() for units in needed) > _WORTH_CHOOSING:
        needed = [units | {INPUTS: np.ones_like(units[INPUTS])} for units in needed]
    selections = select_alike(layout, own[0], needed)
    small, small_masks = _stacked(
        [
            (take_state(selection, _member(starts, m), tx), selection.take(own[m]))
            for m, selection in enumerate(selections)
        ]
    )
    inputs = input_selection(selections[0], own[0])
    kept = np.stack([selection.units[INPUTS] for selection in selections])
    return CompactMembers(
        resized(module, selections[0]),
        small,
        small_masks,
        None if inputs.kept is None else kept.astype(np.int32),
        inputs.is_flat,
        selections,
        starts,
        tx,
    )


def _member(tree: Any, m: int) -> Any:
    return jax.tree.map(lambda x: x[m], tree)


def _stacked(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
