"""Evidence: what a pruning criterion may look at."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from lth_jax.core.masks import Masks, Params


class Evidence(NamedTuple):
    """What is known of one member when a level ends.

    A criterion takes what it needs; a new one that needs more adds a field here,
    and the others stay as they are.

    Attributes:
      params: the trained weights.
      init_params: the weights at the original init.
      masks: the level's masks.
      key: for criteria that draw.
    """

    params: Params
    init_params: Params
    masks: Masks
    key: jax.Array


Criterion = Callable[[Evidence], Any]  # to scores: float leaves like the params
