"""Programs: what is compiled to train members of an experiment, and to evaluate them."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.core.actions import with_frozen
from lth_jax.devices import members as parallel
from lth_jax.masks import Masks, Params
from lth_jax.shrinking.selection import InputSelection
from lth_jax.study.experiment import Experiment, Splits
from lth_jax.training.connections import Counts
from lth_jax.training.dynamic_training import Changing, make_dynamic_segment
from lth_jax.training.dynamics import Dynamics, make_dynamics
from lth_jax.training.evaluation import make_evaluate
from lth_jax.training.losses import Examples, Metrics
from lth_jax.training.segment import Best, Curves, make_segment
from lth_jax.training.state import TrainState, initial_state

_STATES_KEPT = 3  # where a call began, what it goes on from, and what comes out


class Programs:
    """The compiled functions, each made once for every number of members."""

    def __init__(self, experiment: Experiment):
        self._experiment = experiment

    @functools.cache  # noqa: B019 - programs live as long as their study
    def static(self, num_members: int) -> Callable[..., Any]:
        """The segment of members whose masks stay.

        Takes state, masks, what pruned weights stay at (None: 0), batch indices, keys;
        gives state and curves. All have a leading axis of so many members.
        """
        network, tx = self._experiment.network, self._experiment.tx

        def segment(
            state: TrainState,
            masks: Masks,
            frozen: Params | None,
            indices: jax.Array,
            key: jax.Array,
            *splits: Examples,
        ) -> tuple[TrainState, Curves]:
            apply = with_frozen(network.apply, frozen)
            train_and_evaluate = make_segment(apply, tx, chunk_size=_evaluation_chunk())
            best = Best.before(state)
            state, _, curves = train_and_evaluate(
                state, best, masks, indices, *splits, key
            )
            return state, curves

        return self._over_members(segment, num_members)

    @functools.lru_cache(maxsize=4)  # noqa: B019 - few calls have the same shapes
    def compact(
        self, module: nn.Module, is_flat: bool, num_members: int
    ) -> Callable[..., Any]:
        """As `static`, of a smaller net; see `lth_jax.shrinking.CompactMembers`.

        Takes which inputs each member reads (None: all) for what pruned weights stay at.
        """
        network, tx = self._experiment.network, self._experiment.tx

        def segment(
            state: TrainState,
            masks: Masks,
            kept: jax.Array | None,
            indices: jax.Array,
            key: jax.Array,
            *splits: Examples,
        ) -> tuple[TrainState, Curves]:
            apply = network.remade(module, InputSelection(kept, is_flat)).apply
            train_and_evaluate = make_segment(apply, tx, chunk_size=_evaluation_chunk())
            best = Best.before(state)
            state, _, curves = train_and_evaluate(
                state, best, masks, indices, *splits, key
            )
            return state, curves

        return self._over_members(segment, num_members)

    @functools.cache  # noqa: B019
    def changing(self, dynamics: str, num_members: int) -> Callable[..., Any]:
        """The segment of members whose masks change.

        Takes state, masks, the counts they come to, batch indices, keys, keys of the
        masks; gives state and masks, and curves.
        """
        train_and_evaluate = make_dynamic_segment(
            self._experiment.network.apply,
            self._experiment.tx,
            self.dynamics(dynamics),
            chunk_size=_evaluation_chunk(),
        )

        def segment(
            state: TrainState,
            masks: Masks,
            goal: Counts,
            indices: jax.Array,
            key: jax.Array,
            mask_key: jax.Array,
            *splits: Examples,
        ) -> tuple[Changing, Curves]:
            now, _, curves = train_and_evaluate(
                state, Best.before(state), masks, goal, indices, *splits, key, mask_key
            )
            return now, curves

        return self._over_members(segment, num_members)

    @functools.cache  # noqa: B019
    def evaluate(self, split: str, num_members: int) -> Callable[..., Any]:
        """Metrics on a whole split, of state and what pruned weights stay at."""

        def evaluate(
            state: TrainState, frozen: Params | None, *splits: Examples
        ) -> Metrics:
            apply = with_frozen(self._experiment.network.apply, frozen)
            examples = getattr(Splits(*splits), split)
            return make_evaluate(apply, chunk_size=_evaluation_chunk())(state, examples)

        return self._over_members(evaluate, num_members)

    def _over_members(
        self, function: Callable[..., Any], num_members: int
    ) -> Callable[..., Any]:
        """The function of so many members, with the splits as its last arguments."""
        how = self._experiment.config.member_axis
        compiled = parallel.over_members(function, num_members, num_shared=3, how=how)
        splits = self._splits(num_members)
        return lambda *parts: compiled(*parts, *splits)

    @functools.cache  # noqa: B019
    def _splits(self, num_members: int) -> Splits:
        """The data where so many members want them."""
        splits: Splits = parallel.replicated(self._experiment.splits, num_members)
        return splits

    def dynamics(self, name: str) -> Dynamics:
        """How masks change, as the config has it."""
        config = self._experiment.config
        arguments = config.dynamic.arguments(config.num_steps)
        return make_dynamics(name, prunable=self._experiment.prunable, **arguments)

    def bytes_per_member(self) -> int:
        """The device memory that a member takes while it trains: one is compiled."""
        network, tx = self._experiment.network, self._experiment.tx
        splits = jax.tree.map(_shape, self._experiment.splits)
        batch = (1, 1, self._experiment.config.batch_size)

        def begin(key: jax.Array) -> tuple[TrainState, Masks, jax.Array]:
            params, batch_stats = network.init(key)
            state = initial_state(params, tx, batch_stats)
            return state, masks_lib.full(params), key

        state, masks, key = jax.eval_shape(begin, jax.random.key(0))
        indices = jax.ShapeDtypeStruct(batch, np.int32)
        segment = jax.jit(make_segment(network.apply, tx, chunk_size=_evaluation_chunk()))
        lowered = segment.lower(state, Best.before(state), masks, indices, *splits, key)
        memory: Any = lowered.compile().memory_analysis()
        leaves = jax.tree.leaves((state, masks))
        num_bytes: int = sum(x.size * x.dtype.itemsize for x in leaves)
        return int(memory.temp_size_in_bytes) + _STATES_KEPT * num_bytes


def _evaluation_chunk() -> int:
    """Examples evaluated at once: on CPU few stay in cache, elsewhere many fill it."""
    return 250 if jax.default_backend() == "cpu" else 1000


def _shape(x: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)
