"""lth_jax: find, test and use lottery tickets in JAX.

The names here are the notebook API: pure functions that act on any pytree of
params. The study that `python -m lth_jax.main` runs is built from them.
"""

from lth_jax import criteria, models
from lth_jax.core import (
    actions,
    arms,
    connections,
    dynamics,
    keys,
    layer_densities,
    masks,
    optimizers,
    pruning,
    rewinding,
    sampling,
    structured,
    tickets,
    training,
)
from lth_jax.core.dynamic_training import make_dynamic_segment, make_dynamic_steps
from lth_jax.core.pruning import one_shot, prune, prune_in_rounds, prune_to_density
from lth_jax.core.removal import remove_lowest
from lth_jax.core.rewinding import initial_state, rewind
from lth_jax.core.structured import keep_n_of_m, prune_blocks, prune_units
from lth_jax.core.training import Examples, make_evaluate, make_segment, make_steps
from lth_jax.models import LeNet, from_linen

__version__ = "0.1.0"

__all__ = [
    "Examples",
    "LeNet",
    "actions",
    "arms",
    "connections",
    "criteria",
    "dynamics",
    "from_linen",
    "initial_state",
    "keep_n_of_m",
    "keys",
    "layer_densities",
    "make_dynamic_segment",
    "make_dynamic_steps",
    "make_evaluate",
    "make_segment",
    "make_steps",
    "masks",
    "models",
    "one_shot",
    "optimizers",
    "prune",
    "prune_blocks",
    "prune_in_rounds",
    "prune_to_density",
    "prune_units",
    "pruning",
    "remove_lowest",
    "rewind",
    "rewinding",
    "sampling",
    "structured",
    "tickets",
    "training",
]
