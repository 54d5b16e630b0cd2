"""Standings: a made-up study of criteria whose truth is known."""

import numpy as np

from lth_jax.analysis.outcomes import DENSE
from lth_jax.analysis.standings import RANDOM
from support.studies import noisy

# At two levels: the ticket and snip are above random pruning, small_final is below it.
TRUTH = {
    DENSE: (0.95, 3_000),
    ("ticket", 1): (0.952, 3_000),
    ("ticket", 2): (0.93, 3_000),
    ("reinit", 1): (0.90, 3_000),
    ("reinit", 2): (0.80, 3_000),
    ("snip", 1): (0.94, 3_000),
    ("snip", 2): (0.94, 3_000),
    ("grasp", 1): (0.93, 3_000),
    ("grasp", 2): (0.92, 3_000),
    (RANDOM, 1): (0.93, 3_000),
    (RANDOM, 2): (0.92, 3_000),
    ("small_final", 1): (0.90, 3_000),
    ("small_final", 2): (0.60, 3_000),
}


def study(num_replicates=40, truth=TRUTH):
    return noisy(truth, num_replicates, 0.002, 0.25, np.random.default_rng(0))
