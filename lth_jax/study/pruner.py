"""Pruner: the masks of a level, by the study's criterion or that of another arm."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax.core.arms import is_criterion
from lth_jax.core.tickets import Start
from lth_jax.masks import Masks, Params, prunable_leaves
from lth_jax.pruning import weights as pruning
from lth_jax.pruning.counts import counts_at
from lth_jax.pruning.criteria import CRITERIA, Criterion, Evidence
from lth_jax.pruning.densities import LAYER_DENSITIES
from lth_jax.pruning.weights import Density
from lth_jax.study.experiment import Experiment
from lth_jax.study.structures import prune_structure
from lth_jax.training import keys, sampling
from lth_jax.training.connections import Counts
from lth_jax.training.losses import Examples
from lth_jax.training.state import TrainState


class Pruner:
    """Prunes one replicate at a time; holds the compiled criteria."""

    def __init__(self, experiment: Experiment):
        self._experiment = experiment
        self._config = experiment.config

    def criterion(self, arm: str) -> Criterion:
        """By which an arm's masks are chosen; "ticket" for the study's own."""
        return CRITERIA.find(arm if is_criterion(arm) else self._config.prune.criterion)

    def _scope(self, arm: str) -> str:
        return self.criterion(arm).scope or self._config.prune.scope

    @functools.cache  # noqa: B019 - a pruner lives as long as its study
    def _scores(self, arm: str) -> Callable[[Evidence], Params]:
        compiled: Callable[[Evidence], Params] = jax.jit(self.criterion(arm).scores)
        return compiled

    def parent(self, level: int) -> int:
        """The level whose nets a level is pruned from."""
        return 0 if self._config.prune.densities else level - 1

    def prune(
        self, arm: str, level: int, replicate: int, parent: Start, init: TrainState
    ) -> Masks:
        """The masks of one replicate.

        Args:
          arm: "ticket", or a criterion.
          level: from 1.
          replicate: which one of those that `parent` and `init` have.
          parent: the nets that are pruned, and their masks.
          init: the original inits.
        """
        evidence = self._evidence(arm, level, replicate, parent, init)
        prune, criterion = self._config.prune, self.criterion(arm)
        invert = prune.invert and not is_criterion(arm)
        how: dict[str, Any] = {
            "scope": "global" if self._scope(arm) == "global" else "layerwise",
            "prunable": self._experiment.prunable,
            "floor": prune.floor,
        }

        def score(kept: Masks) -> Any:
            scores = self._scores(arm)(evidence._replace(masks=kept))
            return jax.tree.map(jnp.negative, scores) if invert else scores

        kept = evidence.masks
        if not prune.densities:
            return prune_structure(
                self._experiment, level, score(kept), kept, how["scope"]
            )
        density = self._density(arm, level, kept)
        return pruning.prune_in_rounds(score, kept, density, criterion.num_rounds, **how)

    def _evidence(
        self, arm: str, level: int, replicate: int, parent: Start, init: TrainState
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
        network, criterion = self._experiment.network, self.criterion(arm)
        batches = self._batches(arm, replicate, level) if criterion.learns else None
        learns_by_layer = criterion.learns and self._scope(arm) != "global"
        return Evidence(
            params=params,
            init_params=init_params,
            masks=kept,
            key=self._key(arm, replicate, level, "criterion"),
            batch_stats=batch_stats,
            init_batch_stats=init_batch_stats,
            examples=self._examples(arm, replicate, level) if criterion.at_data else None,
            apply=jax.tree_util.Partial(network.apply),
            apply_to_ones=jax.tree_util.Partial(network.apply_to_ones),
            batch_indices=batches,
            counts=self._counts(arm, level, kept) if learns_by_layer else None,
        )

    def _examples(self, arm: str, replicate: int, level: int) -> Examples:
        """As many of each class, the same for all arms and levels pruned from one net.

        All of them for a criterion that learns.
        """
        if self.criterion(arm).learns:
            return self._experiment.splits.train
        inputs, labels = self._experiment.splits.train
        chosen = sampling.balanced_indices(
            self._key("ticket", replicate, self.parent(level), "examples"),
            np.asarray(labels),
            self._config.prune.examples_per_class,
        )
        return Examples(inputs[chosen], labels[chosen])

    def _batches(self, arm: str, replicate: int, level: int) -> np.ndarray:
        """The batches that a mask is learned on."""
        return sampling.batch_indices(
            self._key(arm, replicate, level, "mask order"),
            0,
            self._config.prune.mask_steps,
            batch_size=self._config.batch_size,
            num_examples=len(self._experiment.splits.train.labels),
        )

    def _counts(self, arm: str, level: int, kept: Masks) -> Counts:
        """How many weights of each leaf a level keeps, as `prune_to_density` counts."""
        density = self._density(arm, level, kept)
        return counts_at(density, kept, self._experiment.prunable)

    def _density(self, arm: str, level: int, kept: Masks) -> Density:
        """Of each leaf where the scope shares them out, else of all."""
        density = self._config.prune.densities[level - 1]
        share = LAYER_DENSITIES.get(self._scope(arm))
        if share is None:
            return density
        leaves = prunable_leaves(kept, self._experiment.prunable)
        return share({path: leaf.shape for path, leaf in leaves}, density)

    def _key(self, arm: str, replicate: int, level: int, purpose: str) -> jax.Array:
        return keys.member_key(self._config.seed, replicate, arm, level, purpose)
