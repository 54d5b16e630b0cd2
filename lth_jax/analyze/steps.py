"""Steps: how long nets train before they are pruned, and when they are used."""

import numpy as np

from lth_jax.analysis.outcomes import Outcome
from lth_jax.lottery.jobs import Job


def steps_to_pruning(job: Job, pruned: Outcome) -> np.ndarray:
    """The steps at which `prune.at` prunes the nets of an outcome, float64[R]."""
    config, early = job.study.config, np.asarray(pruned.early_stop_step, float)
    if config.prune.at == "early_stop":
        return early
    if config.prune.at == "early_bird":
        assert pruned.early_bird_step is not None
        return pruned.early_bird_step
    return np.full_like(early, job.study.prune_step or config.num_steps)


def steps_used(job: Job, used: Outcome, until: str) -> np.ndarray:
    """The steps that nets train until their "early_stop" or the "end", float64[R]."""
    early = np.asarray(used.early_stop_step, float)
    end = np.full_like(early, job.study.config.num_steps)
    found: np.ndarray = (early if until == "early_stop" else end) - job.first_step
    return found
