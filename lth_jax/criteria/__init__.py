"""Criteria: which weights matter, one family a file, all with one signature."""

from lth_jax.criteria.edge_popup import edge_popup
from lth_jax.criteria.evidence import Criterion, Evidence
from lth_jax.criteria.learned import Learned, evaluate_untrained
from lth_jax.criteria.magnitude import magnitude
from lth_jax.criteria.random import random
from lth_jax.criteria.supermask import supermask

CRITERIA: dict[str, Criterion] = {"magnitude": magnitude, "random": random}

__all__ = [
    "CRITERIA",
    "Criterion",
    "Evidence",
    "Learned",
    "edge_popup",
    "evaluate_untrained",
    "magnitude",
    "random",
    "supermask",
]
