"""Criteria: scores of weights for pruning, one family a file, all with one signature."""

import functools

from lth_jax.pruning.criteria.criterion import Criterion, Evidence, check_scores
from lth_jax.pruning.criteria.edge_popup import edge_popup, edge_popup_scores
from lth_jax.pruning.criteria.learned import Learned, evaluate_untrained
from lth_jax.pruning.criteria.magnitude import magnitude
from lth_jax.pruning.criteria.random import random
from lth_jax.pruning.criteria.saliency import grasp, grasp_magnitude, saliency, snip
from lth_jax.pruning.criteria.supermask import (
    supermask,
    supermask_rescaled_scores,
    supermask_scores,
)
from lth_jax.pruning.criteria.synflow import synflow
from lth_jax.pruning.criteria.zhou import (
    large_final,
    large_final_diff_sign,
    large_final_same_sign,
    large_init,
    large_init_large_final,
    magnitude_increase,
    magnitude_increase_diff_sign,
    magnitude_increase_same_sign,
    movement,
    small_final,
    small_init,
    small_init_small_final,
)
from lth_jax.registry import Registry, callables

# Criteria that read the net before training, and prune it straight to each density.
_at_init = functools.partial(Criterion, looks="init", one_shot=True)
_learned = functools.partial(_at_init, at_data=True, learns=True)

_OWN = {
    "magnitude": Criterion(magnitude),
    # Uniform, Erdos-Renyi and ERK densities: Mocanu et al. 2018, Evci et al. 2020.
    "random_uniform": Criterion(random, looks="nothing", scope="layerwise"),
    "random_er": Criterion(random, looks="nothing", scope="er"),
    "random_erk": Criterion(random, looks="nothing", scope="erk"),
    "large_final": Criterion(large_final),
    "small_final": Criterion(small_final),
    # These read the init alone, but a level may also prune the level before by them.
    "large_init": Criterion(large_init, looks="init"),
    "small_init": Criterion(small_init, looks="init"),
    "large_init_large_final": Criterion(large_init_large_final),
    "small_init_small_final": Criterion(small_init_small_final),
    "magnitude_increase": Criterion(magnitude_increase),
    "movement": Criterion(movement),
    "large_final_same_sign": Criterion(large_final_same_sign),
    "large_final_diff_sign": Criterion(large_final_diff_sign),
    "magnitude_increase_same_sign": Criterion(magnitude_increase_same_sign),
    "magnitude_increase_diff_sign": Criterion(magnitude_increase_diff_sign),
    "saliency": Criterion(saliency, at_data=True),
    "snip": _at_init(snip, at_data=True),
    "grasp": _at_init(grasp, at_data=True),
    "grasp_magnitude": _at_init(grasp_magnitude, at_data=True),
    "synflow": _at_init(synflow, num_rounds=100),
    "supermask": _learned(supermask_scores),
    "supermask_rescaled": _learned(supermask_rescaled_scores),
    "edge_popup": _learned(edge_popup_scores, scope="layerwise"),
}

_made = callables("needs a function of evidence, or a Criterion", Criterion)
CRITERIA = Registry("criterion", _OWN, _made)

__all__ = [
    "CRITERIA",
    "Criterion",
    "Evidence",
    "Learned",
    "check_scores",
    "edge_popup",
    "edge_popup_scores",
    "evaluate_untrained",
    "grasp",
    "grasp_magnitude",
    "large_final",
    "large_final_diff_sign",
    "large_final_same_sign",
    "large_init",
    "large_init_large_final",
    "magnitude",
    "magnitude_increase",
    "magnitude_increase_diff_sign",
    "magnitude_increase_same_sign",
    "movement",
    "random",
    "saliency",
    "small_final",
    "small_init",
    "small_init_small_final",
    "snip",
    "supermask",
    "supermask_rescaled_scores",
    "supermask_scores",
    "synflow",
]
