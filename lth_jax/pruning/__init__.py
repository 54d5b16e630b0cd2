"""Pruning: from scores to masks."""

from lth_jax.pruning.weights import one_shot, prune, prune_in_rounds, prune_to_density

__all__ = ["one_shot", "prune", "prune_in_rounds", "prune_to_density"]
