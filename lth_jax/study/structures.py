"""Structures: what a level takes away whole, by the counts that the config has."""

from lth_jax.masks import Masks
from lth_jax.pruning.structures import STRUCTURES, Request
from lth_jax.removal import Scores
from lth_jax.study.experiment import Experiment


def prune_structure(
    experiment: Experiment, level: int, scores: Scores, masks: Masks, scope: str
) -> Masks:
    """The masks of one replicate at a level, by the config's `prune.structure`.

    Args:
      experiment: the study's.
      level: from 1.
      scores: of the weights, as for `lth_jax.prune`.
      masks: of the level that is pruned.
      scope: "layerwise" or "global".
    """
    prune, module = experiment.config.prune, experiment.network.module
    request = Request(
        experiment.fraction,
        scope,
        experiment.prunable,
        prune.floor,
        module.layout() if hasattr(module, "layout") else None,
        prune.block_size or 1,
        prune.n_of_m,
    )
    return STRUCTURES.find(prune.structure)(scores, masks, level, request)
