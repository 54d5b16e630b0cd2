"""Criteria: which weights matter, one family a file, all with one signature."""

from lth_jax.criteria.evidence import Criterion, Evidence
from lth_jax.criteria.magnitude import magnitude
from lth_jax.criteria.random import random

CRITERIA: dict[str, Criterion] = {"magnitude": magnitude, "random": random}

__all__ = ["CRITERIA", "Criterion", "Evidence", "magnitude", "random"]
