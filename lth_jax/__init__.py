"""lth_jax: find, test and use lottery tickets in JAX.

The names here are the notebook API: pure functions that act on any pytree of
params. The study that `python -m lth_jax.main` runs is built from them.
"""

from typing import TYPE_CHECKING, Any

from lth_jax import leaves, masks, models, pruning, training
from lth_jax.lottery import arms
from lth_jax.models import LeNet, from_linen, from_nnx
from lth_jax.pruning import criteria, layer_densities, structures
from lth_jax.pruning.structures import keep_n_of_m, prune_blocks, prune_units
from lth_jax.pruning.weights import one_shot, prune, prune_in_rounds, prune_to_density
from lth_jax.removal import remove_lowest
from lth_jax.store import tickets
from lth_jax.training import (
    Best,
    Examples,
    Loss,
    connections,
    dynamics,
    initial_state,
    keys,
    make_evaluate,
    make_segment,
    make_steps,
    optimizers,
    rewinding,
    sampling,
    schedules,
)
from lth_jax.training.dynamic_training import make_dynamic_segment, make_dynamic_steps
from lth_jax.training.rewinding import rewind
from lth_jax.version import VERSION

__version__ = VERSION

if TYPE_CHECKING:
    from lth_jax.run import Result, run_study

# Imported on first use, because a study's dependencies take seconds to import.
_WITH_STUDIES = ("Result", "run_study")


def __getattr__(name: str) -> Any:
    if name not in _WITH_STUDIES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lth_jax import run

    return getattr(run, name)


__all__ = [
    "Best",
    "Examples",
    "LeNet",
    "Loss",
    "Result",
    "arms",
    "connections",
    "criteria",
    "dynamics",
    "from_linen",
    "from_nnx",
    "initial_state",
    "keep_n_of_m",
    "keys",
    "layer_densities",
    "leaves",
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
    "run_study",
    "sampling",
    "schedules",
    "structures",
    "tickets",
    "training",
]
