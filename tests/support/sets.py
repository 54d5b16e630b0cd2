"""Sets: masks and scores as plain Python has them."""

import numpy as np


def highest(score, candidates, count):
    """Among equal scores the lower index comes first."""
    return set(sorted(candidates, key=lambda i: (-score[i], i))[:count])


def indices(mask):
    return set(np.flatnonzero(mask).tolist())
