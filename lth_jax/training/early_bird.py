"""Early-Bird: the first net of a training whose masks have come to rest.

You et al. 2020 ("Drawing early-bird tickets", section 3) draw masks as a net trains, and
stop when these hardly differ from one draw to the next.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from lth_jax.leaves import named_leaves
from lth_jax.masks import Masks, Params, Prunable, prunable_leaves
from lth_jax.removal import remove_lowest
from lth_jax.training.state import Array, BatchStats, TrainState

Leaves = Sequence[Array]  # masks of the prunable leaves alone, in their order
# Their values. They draw once an epoch; here masks are drawn at each evaluation.
NUM_DRAWN = 5
MOST_DISTANCE = 0.1


class EarlyBird(NamedTuple):
    """The net that masks are pruned from, and the masks of the last evaluations.

    It is the net of the last evaluation, until the rule holds. From then on it stays.
    """

    drawn: Leaves  # bool[NUM_DRAWN, ...] each, the newest last; `False` at first
    num_drawn: Int[jax.Array, ""]
    distance: Float[jax.Array, ""]  # at its step; infinite while there are too few masks
    step: Int[jax.Array, ""]
    params: Params
    batch_stats: BatchStats

    @classmethod
    def before(cls, state: TrainState, kept: Leaves) -> "EarlyBird":
        """The value before any evaluation; `kept` are the masks of prunable leaves."""
        none = [jnp.zeros((NUM_DRAWN, *leaf.shape), bool) for leaf in kept]
        net = state.step, state.params, state.batch_stats
        return cls(none, jnp.int32(0), jnp.float32(jnp.inf), *net)

    @property
    def state(self) -> TrainState:
        """Its net as a state without the optimizer's moments."""
        return TrainState(self.step, self.params, self.batch_stats, ())

    def after(self, state: TrainState, kept: Leaves, drawn: Leaves) -> "EarlyBird":
        """The value after an evaluation, of the net and the masks that `draw` returns."""
        masks = [
            jnp.concatenate([old[1:], new[None]])
            for old, new in zip(self.drawn, drawn, strict=True)
        ]
        number = self.num_drawn + 1
        distance = jnp.where(
            number < NUM_DRAWN, jnp.float32(jnp.inf), _distance(masks, kept)
        )
        net = state.step, state.params, state.batch_stats
        new = EarlyBird(masks, number, distance, *net)
        is_found = self.distance < MOST_DISTANCE
        result: EarlyBird = jax.tree.map(partial(jnp.where, is_found), self, new)
        return result


def draw(
    params: Params,
    kept: Masks,
    fraction: float | Mapping[str, float],
    scope: str,
    prunable: Prunable,
) -> tuple[Leaves, Leaves]:
    """The masks of the prunable leaves, and what magnitude pruning would leave of them.

    The latter are those of `pruning.weights.prune`, except that they know no floor, and
    that counts are rounded in float32. It works under `jit` and `vmap`.

    Args:
      params: float leaves.
      kept: bool leaves like the params, the masks that they train with.
      fraction: the share of survivors to remove, for "layerwise" one by leaf path.
      scope: "layerwise" or "global".
      prunable: which leaves may be pruned.
    """
    paths, masks = map(list, zip(*prunable_leaves(kept, prunable), strict=True))
    leaf_of = dict(named_leaves(params))
    sizes = [jnp.abs(leaf_of[path]) for path in paths]
    if isinstance(fraction, float) and scope == "global":
        return masks, remove_lowest(sizes, masks, _share(fraction, masks))
    own = dict.fromkeys(paths, fraction) if isinstance(fraction, float) else fraction
    drawn = [
        remove_lowest(size, mask, _share(own[path], [mask]))
        for path, size, mask in zip(paths, sizes, masks, strict=True)
    ]
    return masks, drawn


def _share(fraction: float, masks: Leaves) -> Array:
    kept = sum(jnp.sum(leaf, dtype=jnp.int32) for leaf in masks)
    return jnp.round(fraction * kept).astype(jnp.int32)


def _distance(masks: Leaves, kept: Leaves) -> Array:
    """The largest share of the kept entries that differs between the newest and another.

    Theirs is the share of all entries; the two are equal for dense nets.
    """
    flat = jnp.concatenate([leaf.reshape(NUM_DRAWN, -1) for leaf in masks], axis=1)
    differing = jnp.sum(flat[:-1] != flat[-1], axis=1, dtype=jnp.int32)
    total = sum(jnp.sum(leaf, dtype=jnp.int32) for leaf in kept)
    return differing.max() / jnp.maximum(total, 1).astype(jnp.float32)
