"""Programs: what is compiled to train members of a study, and to evaluate them."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from lth_jax import devices
from lth_jax import masks as masks_lib
from lth_jax.lottery.study import Splits, Study
from lth_jax.masks import Masks, Params
from lth_jax.shrinking.selection import InputSelection
from lth_jax.training import (
    Best,
    Curves,
    Examples,
    Metrics,
    TrainState,
    make_evaluate,
    make_segment,
)
from lth_jax.training.connections import Counts
from lth_jax.training.dynamic_training import make_dynamic_segment
from lth_jax.training.state import with_frozen

_STATES_KEPT = 3  # where a call began, what it goes on from, and what comes out


class Programs:
    """The compiled functions, each made once for every number of members.

    Those that train take, last, the splits and at which evaluations test is due; of the
    members each has a leading axis of so many.
    """

    def __init__(self, study: Study):
        self._study = study

    @functools.cache  # noqa: B019 - programs live as long as their study
    def static(self, num_members: int) -> Callable[..., Any]:
        """The segment of members whose masks stay.

        Takes state, masks, best, what pruned weights stay at (None: 0), batch indices,
        keys; returns (state, best) and curves.
        """

        def segment(
            state: TrainState,
            masks: Masks,
            best: Best,
            frozen: Params | None,
            indices: jax.Array,
            key: jax.Array,
            *shared: Any,
        ) -> Any:
            apply = with_frozen(self._study.network.apply, frozen)
            return self._segment(apply, state, masks, best, indices, key, *shared)

        return self._over_members(segment, num_members, num_more=1)

    @functools.lru_cache(maxsize=4)  # noqa: B019 - few calls have the same shapes
    def compact(
        self, module: nn.Module, is_flat: bool, num_members: int
    ) -> Callable[..., Any]:
        """As `static`, of a smaller net; see `lth_jax.shrinking.CompactMembers`.

        Takes which inputs each member reads (None: all) for what pruned weights stay at.
        """

        def segment(
            state: TrainState,
            masks: Masks,
            best: Best,
            kept: jax.Array | None,
            indices: jax.Array,
            key: jax.Array,
            *shared: Any,
        ) -> Any:
            choose = InputSelection(kept, is_flat)
            apply = self._study.network.remade(module, choose).apply
            return self._segment(apply, state, masks, best, indices, key, *shared)

        return self._over_members(segment, num_members, num_more=1)

    def _segment(
        self,
        apply: Any,
        state: TrainState,
        masks: Masks,
        best: Best,
        indices: jax.Array,
        key: jax.Array,
        test_due: jax.Array,
        *splits: Examples,
    ) -> tuple[tuple[TrainState, Best], Curves]:
        train_and_evaluate = make_segment(apply, *self._how)
        state, best, curves = train_and_evaluate(
            state, best, masks, indices, *splits, key, test_due
        )
        return (state, best), curves

    @functools.cache  # noqa: B019
    def changing(self, dynamics: str, num_members: int) -> Callable[..., Any]:
        """The segment of members whose masks change.

        Takes state, masks, best, the counts that masks come to, batch indices, keys, keys
        of the masks; returns (state, masks, best) and curves.
        """
        apply, (tx, *how) = self._study.network.apply, self._how
        train_and_evaluate = make_dynamic_segment(
            apply, tx, self._study.dynamics(dynamics), *how
        )

        def segment(
            state: TrainState,
            masks: Masks,
            best: Best,
            goal: Counts,
            indices: jax.Array,
            key: jax.Array,
            mask_key: jax.Array,
            test_due: jax.Array,
            *splits: Examples,
        ) -> Any:
            (state, masks), best, curves = train_and_evaluate(
                state, best, masks, goal, indices, *splits, key, mask_key, test_due
            )
            return (state, masks, best), curves

        return self._over_members(segment, num_members, num_more=1)

    @functools.cache  # noqa: B019
    def evaluate(self, split: str, num_members: int) -> Callable[..., Any]:
        """Metrics on a whole split, of state and what pruned weights stay at."""
        _, loss, chunk_size = self._how

        def evaluate(
            state: TrainState, frozen: Params | None, *splits: Examples
        ) -> Metrics:
            apply = with_frozen(self._study.network.apply, frozen)
            examples = getattr(Splits(*splits), split)
            return make_evaluate(apply, loss, chunk_size)(state, examples)

        return self._over_members(evaluate, num_members)

    @property
    def _how(self) -> tuple[Any, Any, int]:
        """Optimizer, loss, and how many examples are evaluated at once."""
        return self._study.tx, self._study.loss, _evaluation_chunk()

    def _over_members(
        self, function: Callable[..., Any], num_members: int, num_more: int = 0
    ) -> Callable[..., Any]:
        """The function of so many members, with the splits as its last arguments.

        Args:
          function: of one member.
          num_members: how many.
          num_more: of its arguments before the splits that all members share.
        """
        compiled = devices.over_members(
            function,
            num_members,
            num_shared=num_more + 3,
            how=self._study.config.member_axis,
        )
        splits = self._splits(num_members)
        return lambda *parts: compiled(*parts, *splits)

    @functools.cache  # noqa: B019
    def _splits(self, num_members: int) -> Splits:
        """The data where so many members want them."""
        splits: Splits = devices.replicated(self._study.splits, num_members)
        return splits

    def bytes_per_member(self) -> int:
        """The device memory that a member takes while it trains: one is compiled."""
        splits = jax.tree.map(_shape, self._study.splits)
        batch = (1, 1, self._study.config.batch_size)

        def start(key: jax.Array) -> tuple[TrainState, Masks, Best, jax.Array]:
            state = self._study.initial_state(key)
            best = Best(jax.numpy.float32(0), state.step, state.params, state.batch_stats)
            return state, masks_lib.full(state.params), best, key

        state, masks, best, key = jax.eval_shape(start, jax.random.key(0))
        indices = jax.ShapeDtypeStruct(batch, np.int32)
        segment = jax.jit(make_segment(self._study.network.apply, *self._how))
        lowered = segment.lower(state, best, masks, indices, *splits, key)
        memory: Any = lowered.compile().memory_analysis()
        leaves = jax.tree.leaves((state, masks, best))
        num_bytes: int = sum(x.size * x.dtype.itemsize for x in leaves)
        return int(memory.temp_size_in_bytes) + _STATES_KEPT * num_bytes


def _evaluation_chunk() -> int:
    """Examples evaluated at once: on CPU few stay in cache, elsewhere many fill it."""
    return 250 if jax.default_backend() == "cpu" else 1000


def _shape(x: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)
