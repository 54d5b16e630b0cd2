"""Structures: what a level takes away whole, by the counts that the config has."""

from lth_jax.layout import free_places, layout_of
from lth_jax.lottery.study import Study
from lth_jax.masks import Masks
from lth_jax.pruning import structured
from lth_jax.removal import Scores


def prune_structure(
    study: Study, level: int, scores: Scores, masks: Masks, scope: str
) -> Masks:
    """The masks of one replicate at a level, by a `prune.structure` beyond "weights".

    Args:
      study: whose level it is.
      level: from 1.
      scores: of the weights, as for `lth_jax.prune`.
      masks: of the level that is pruned.
      scope: "layerwise" or "global".
    """
    prune, fraction = study.config.prune, study.fraction
    if prune.structure == "n_of_m":
        n, m = map(int, prune.n_of_m[level - 1].split(":"))
        return structured.keep_n_of_m(scores, masks, n, m, prunable=study.prunable)
    if prune.structure == "blocks":
        assert prune.block_size is not None  # the config is checked
        return structured.prune_blocks(
            scores,
            masks,
            fraction,
            prune.block_size,
            scope=scope,
            prunable=study.prunable,
        )
    layout = layout_of(study.network.module, "prune.structure: 'units'")
    if not isinstance(fraction, float):
        # Units go by the kind of the layer that they are of.
        fraction = {
            place.name: fraction[f"{place.layers[0].name}/kernel"]
            for place in free_places(layout)
        }
    return structured.prune_units(scores, masks, fraction, layout, scope=scope)
