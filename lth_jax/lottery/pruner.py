"""Pruner: the masks of a level, by the study's criterion or another."""

import functools
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax.lottery.study import Study
from lth_jax.masks import Masks, Params, prunable_leaves
from lth_jax.pruning import weights as pruning
from lth_jax.pruning.criteria import CRITERIA, Criterion, Evidence
from lth_jax.pruning.densities import LAYER_DENSITIES
from lth_jax.pruning.structures import STRUCTURES, Request
from lth_jax.pruning.weights import Density, counts_at
from lth_jax.training import keys, sampling
from lth_jax.training.connections import Counts
from lth_jax.training.losses import Examples
from lth_jax.training.state import TrainState


class Nets(Protocol):
    """Nets that are pruned, leading axis R: their states, and their masks so far."""

    @property
    def state(self) -> TrainState:
        """Trained, or as they start."""

    @property
    def masks(self) -> Masks:
        """Of the same members."""


class Pruner:
    """Prunes one replicate at a time; holds the compiled criteria."""

    def __init__(self, study: Study):
        self._study = study
        self._config = study.config

    def looks(self, name: str) -> str:
        """At which nets a criterion looks: "end", "init" or "nothing"."""
        return self._criterion(name).looks

    def _criterion(self, name: str) -> Criterion:
        return CRITERIA.find(self._config.prune.criterion if name == "ticket" else name)

    def _scope(self, name: str) -> str:
        return self._criterion(name).scope or self._config.prune.scope

    @functools.cache  # noqa: B019 - a pruner lives as long as its study
    def _scores(self, name: str) -> Callable[[Evidence], Params]:
        compiled: Callable[[Evidence], Params] = jax.jit(self._criterion(name).scores)
        return compiled

    def prune(
        self, name: str, level: int, replicate: int, parent: Nets, init: TrainState
    ) -> Masks:
        """The masks of one replicate.

        Args:
          name: of a criterion; "ticket" for the study's own.
          level: from 1.
          replicate: which one of those that `parent` and `init` have.
          parent: the nets that are pruned, and their masks.
          init: the original inits.
        """
        evidence = self._evidence(name, level, replicate, parent, init)
        prune, criterion = self._config.prune, self._criterion(name)
        invert = prune.invert and name == "ticket"
        scope = "global" if self._scope(name) == "global" else "layerwise"

        def score(kept: Masks) -> Any:
            scores = self._scores(name)(evidence._replace(masks=kept))
            return jax.tree.map(jnp.negative, scores) if invert else scores

        kept = evidence.masks
        if not prune.densities:
            structure = STRUCTURES.find(prune.structure)
            return structure(score(kept), kept, level, self._request(scope))
        density = self._density(name, level, kept)
        how: dict[str, Any] = {
            "scope": scope,
            "prunable": self._study.prunable,
            "floor": prune.floor,
        }
        return pruning.prune_in_rounds(score, kept, density, criterion.num_rounds, **how)

    def _request(self, scope: str) -> Request:
        """What a structure is asked for, as the config has it."""
        prune, module = self._config.prune, self._study.network.module
        return Request(
            self._study.fraction,
            scope,
            self._study.prunable,
            prune.floor,
            module.layout() if hasattr(module, "layout") else None,
            prune.block_size or 1,
            prune.n_of_m,
        )

    def _evidence(
        self, name: str, level: int, replicate: int, parent: Nets, init: TrainState
    ) -> Evidence:
        """What is known of one replicate when it is pruned."""
        state = parent.state
        params, batch_stats, init_params, init_batch_stats, kept = jax.tree.map(
            # On the host, since they may lie on different devices.
            lambda x: np.asarray(x[replicate]),
            (
                state.params,
                state.batch_stats,
                init.params,
                init.batch_stats,
                parent.masks,
            ),
        )
        network, criterion = self._study.network, self._criterion(name)
        batches = self._batches(name, replicate, level) if criterion.learns else None
        learns_by_layer = criterion.learns and self._scope(name) != "global"
        return Evidence(
            params=params,
            init_params=init_params,
            masks=kept,
            key=self._key(name, replicate, level, "criterion"),
            batch_stats=batch_stats,
            init_batch_stats=init_batch_stats,
            examples=self._examples(name, replicate, level)
            if criterion.at_data
            else None,
            apply=jax.tree_util.Partial(network.apply),
            apply_to_ones=jax.tree_util.Partial(network.apply_to_ones),
            loss=self._study.loss,
            batch_indices=batches,
            counts=self._counts(name, level, kept) if learns_by_layer else None,
        )

    def _parent(self, level: int) -> int:
        """The level whose nets a level is pruned from."""
        return 0 if self._study.is_one_shot else level - 1

    def _examples(self, name: str, replicate: int, level: int) -> Examples:
        """As many of each class, the same for all arms and levels pruned from one net.

        All of them for a criterion that learns.
        """
        if self._criterion(name).learns:
            return self._study.splits.train
        inputs, labels = self._study.splits.train
        chosen = sampling.balanced_indices(
            self._key("ticket", replicate, self._parent(level), "examples"),
            np.asarray(labels),
            self._config.prune.examples_per_class,
        )
        return Examples(inputs[chosen], labels[chosen])

    def _batches(self, name: str, replicate: int, level: int) -> np.ndarray:
        """The batches that a mask is learned on."""
        return sampling.batch_indices(
            self._key(name, replicate, level, "mask order"),
            0,
            self._config.prune.mask_steps,
            batch_size=self._config.batch_size,
            num_examples=len(self._study.splits.train.labels),
        )

    def _counts(self, name: str, level: int, kept: Masks) -> Counts:
        """How many weights of each leaf a level keeps, as `prune_to_density` counts."""
        density = self._density(name, level, kept)
        return counts_at(density, kept, self._study.prunable)

    def _density(self, name: str, level: int, kept: Masks) -> Density:
        """Of each leaf where the scope shares them out, else of all."""
        density = self._config.prune.densities[level - 1]
        share = LAYER_DENSITIES.get(self._scope(name))
        if share is None:
            return density
        leaves = prunable_leaves(kept, self._study.prunable)
        return share({path: leaf.shape for path, leaf in leaves}, density)

    def _key(self, name: str, replicate: int, level: int, purpose: str) -> jax.Array:
        return keys.member_key(self._config.seed, replicate, name, level, purpose)
