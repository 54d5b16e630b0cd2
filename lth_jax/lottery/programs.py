"""Programs: the compiled functions that train and evaluate members of a study."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from lth_jax import devices
from lth_jax import masks as masks_lib
from lth_jax.lottery.loading import Splits
from lth_jax.lottery.study import Study
from lth_jax.masks import Masks, Params
from lth_jax.shrinking.selection import InputSelection
from lth_jax.training import (
    Apply,
    Best,
    Examples,
    Metrics,
    TrainState,
    make_segment,
)
from lth_jax.training.batch_statistics import make_estimate
from lth_jax.training.dynamic_training import make_dynamic_segment
from lth_jax.training.early_bird import EarlyBird, draw
from lth_jax.training.evaluation import make_examine
from lth_jax.training.state import with_frozen

# Copies of the state in memory: at the start, before a call, and after it.
_STATES_KEPT = 3


class Programs:
    """The compiled functions of a study, each made once for every number of members.

    A segment takes state, masks, best, `own`, rates (see `Study.rates`), batch indices
    and keys, each with a leading axis M. `own` is what each function below says. All
    members share two more arguments: bool[V], where test is due, and the part of the
    segment to train. A segment returns (state, masks, best) and curves.
    """

    def __init__(self, study: Study):
        self._study = study
        # How many devices a member needs for its memory, once that is known.
        self.least_data = 1
        # A cache of the class would keep every study alive.
        self.static = functools.cache(self._static)
        self.compact = functools.lru_cache(maxsize=4)(self._compact)  # few are alike
        self.changing = functools.cache(self._changing)
        self.evaluate = functools.cache(self._evaluate)
        self.draw_masks = functools.cache(self._draw_masks)
        self.statistics = functools.cache(self._statistics)
        self.own = functools.lru_cache(maxsize=4)(self._own)
        self._splits = functools.cache(self._replicated)

    def _static(self, num_members: int) -> Callable[..., Any]:
        """The segment of members whose masks are static.

        `own` is the params that pruned weights stay at; None: 0.
        """
        apply = self._study.network.apply
        return self._segment(lambda own: with_frozen(apply, own), num_members)

    def _compact(
        self, module: nn.Module, is_flat: bool, num_members: int
    ) -> Callable[..., Any]:
        """As `static`, for a smaller net; see `lth_jax.shrinking.CompactMembers`.

        `own` is the selection of inputs that each member reads; None: all inputs.
        """
        remade = self._study.network.remade
        return self._segment(
            lambda own: remade(module, InputSelection(own, is_flat)).apply, num_members
        )

    def _segment(
        self, apply_of: Callable[[Any], Apply], num_members: int
    ) -> Callable[..., Any]:
        """The segment of members whose net `apply_of` makes from `own`."""

        def segment(
            state: TrainState, masks: Masks, best: Best, own: Any, *others: Any
        ) -> Any:
            rates, indices, key, test_due, part, *splits = others
            how = self._study.tx_at(rates), *self._how
            train = make_segment(devices.by_data(apply_of(own)), *how)
            batches = devices.split_batch(indices, axis=-1)
            state, best, curves = train(
                state, best, masks, batches, *splits, key, test_due, part
            )
            return (state, masks, best), curves

        return self._over_members(segment, num_members, num_more=2)

    def _changing(self, dynamics: str, num_members: int) -> Callable[..., Any]:
        """The segment of members whose masks change.

        `own` is the counts that masks reach, and the keys for the masks.
        """
        apply = devices.by_data(self._study.network.apply)
        changes = self._study.dynamics(dynamics)

        def segment(
            state: TrainState, masks: Masks, best: Best, own: Any, *more: Any
        ) -> Any:
            (goal, mask_key), (rates, indices, key, *others) = own, more
            test_due, part, *splits = others
            tx = self._study.tx_at(rates)
            train = make_dynamic_segment(apply, tx, changes, *self._how)
            keys, batches = (key, mask_key), devices.split_batch(indices, axis=-1)
            (state, masks), best, curves = train(
                state, best, masks, goal, batches, *splits, *keys, test_due, part
            )
            return (state, masks, best), curves

        return self._over_members(segment, num_members, num_more=2)

    def _evaluate(self, split: str, num_members: int) -> Callable[..., Any]:
        """Metrics on a whole split, from a state and the params of pruned weights.

        For the test split it also returns the accuracy on each example, and None for a
        loss without accuracy.
        """
        loss, chunk_size = self._how
        each = "accuracy" if split == "test" and "accuracy" in loss.metrics else None

        def evaluate(
            state: TrainState, frozen: Params | None, *splits: Examples
        ) -> tuple[Metrics, jax.Array | None]:
            apply = devices.by_data(with_frozen(self._study.network.apply, frozen))
            examples = getattr(Splits(*splits), split)
            return make_examine(apply, loss, chunk_size, each)(state, examples)

        return self._over_members(evaluate, num_members)

    def _draw_masks(self, num_members: int) -> Callable[..., Any]:
        """The `EarlyBird` after an evaluation, from that before, the state and masks."""
        study = self._study
        how = study.fraction, study.config.prune.scope, study.prunable

        def draw_masks(
            early_bird: EarlyBird, state: TrainState, masks: Masks, *_: Examples
        ) -> EarlyBird:
            return early_bird.after(state, *draw(state.params, masks, *how))

        return self._over_members(draw_masks, num_members)

    def _statistics(self, num_members: int) -> Callable[..., Any]:
        """Batch statistics estimated anew from a state; members share batches and key."""
        estimate = make_estimate(devices.by_data(self._study.network.apply))

        def statistics(state: TrainState, indices: Any, key: Any, *splits: Any) -> Any:
            batches = devices.split_batch(indices, axis=-1)
            train = Splits(*splits).train
            return estimate(state.params, state.batch_stats, batches, train, key)

        return self._over_members(statistics, num_members, num_more=2)

    def _own(
        self, function: Callable[..., Any], num_more: int, num_members: int
    ) -> Callable[..., Any]:
        """Any function of one member, over `num_members`; see `_over_members`."""
        return self._over_members(function, num_members, num_more)

    @property
    def _how(self) -> tuple[Any, int]:
        """The loss, and the number of examples that are evaluated at once."""
        return self._study.loss, _evaluation_chunk()

    def _over_members(
        self, function: Callable[..., Any], num_members: int, num_more: int = 0
    ) -> Callable[..., Any]:
        """A function of one member, compiled for `num_members`.

        Its last arguments are the three splits. All members share these, and also the
        `num_more` arguments before them.
        """
        num_data = self._num_data(num_members)
        compiled = devices.over_members(
            function,
            num_members,
            num_shared=num_more + 3,
            how=self._study.config.member_axis,
            num_data=num_data,
        )
        splits = self._splits(num_members, num_data)
        return lambda *parts: compiled(*parts, *splits)

    def _replicated(self, num_members: int, num_data: int) -> Splits:
        """The splits, placed for `num_members`, each on `num_data` devices."""
        splits: Splits = devices.replicated(self._study.splits, num_members, num_data)
        return splits

    def in_whole_rounds(self, num_members: int) -> int:
        """The least number from `num_members` up that divides evenly over the devices."""
        return devices.in_whole_rounds(num_members, self._num_data(num_members))

    def _num_data(self, num_members: int) -> int:
        """How many devices share the batches of each of `num_members`."""
        config = self._study.config
        by_itself = devices.idle_devices(num_members, config.batch_size)
        return config.mesh.data or max(self.least_data, by_itself)

    def bytes_per_member(self, num_data: int = 1) -> int:
        """The bytes that a member in training takes on each of `num_data` devices.

        It compiles a segment of one member with that share of the batch.
        """
        splits = jax.tree.map(_shape, self._study.splits)
        batch = (1, 1, self._study.config.batch_size // num_data)

        def start(key: jax.Array) -> tuple[TrainState, Masks, Best, jax.Array]:
            state = self._study.initial_state(key)
            best = Best.before(state)
            return state, masks_lib.full(state.params), best, key

        state, masks, best, key = jax.eval_shape(start, jax.random.key(0))
        indices = jax.ShapeDtypeStruct(batch, np.int32)
        loss, chunk_size = self._how
        how = self._study.tx, loss, max(1, chunk_size // num_data)
        segment = jax.jit(make_segment(self._study.network.apply, *how))
        lowered = segment.lower(state, best, masks, indices, *splits, key)
        memory: Any = lowered.compile().memory_analysis()
        leaves = jax.tree.leaves((state, masks, best))
        num_bytes: int = sum(x.size * x.dtype.itemsize for x in leaves)
        return int(memory.temp_size_in_bytes) + _STATES_KEPT * num_bytes


def _evaluation_chunk() -> int:
    """Examples evaluated at once: few fit a CPU's cache, many keep a GPU busy."""
    return 250 if jax.default_backend() == "cpu" else 1000


def _shape(x: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)
