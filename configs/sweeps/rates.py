"""Does the effect of a criterion survive its own tuning? On MNIST-1D.

Criteria are usually compared at a rate that was chosen for the dense net. Here the dense
net, magnitude, and criteria that look at the init train at five learning rates.
scripts/best_rates.py chooses the best rate of each on validation data.

Command:   python -m lth_jax.sweep --config=configs/sweeps/rates.py
           python -m lth_jax.sweep --config=configs/sweeps/rates.py --config.seed=1 --workdir=runs/rates-seed1
           python scripts/best_rates.py runs/rates-sweep runs/rates-seed1
Expected:  see docs/findings.md.
Time:      2 min on 2 shared CPU cores. Not measured on a GPU yet.
Variant:   ":smoke", 100 steps, a check that everything runs.
"""  # noqa: E501  # a command is one line

from collections.abc import Callable

import ml_collections

from lth_jax import config as lth_config

RATES = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the study that the points change, or its small variant "smoke"."""
    chosen = lth_config.variants(variant, ("smoke",))
    config = lth_config.default()
    config.arms = (
        *("ticket", "snip", "grasp", "synflow"),
        *("large_init", "random_uniform", "random_erk"),
    )
    config.num_replicates = 10
    config.num_steps = 1_200
    config.batch_size = 50
    config.eval_every_steps = 50
    config.checkpoint_every_steps = 1_200
    config.data.name = "mnist1d"
    config.data.num_validation = 1_000
    config.model.name = "lenet"
    config.model.hidden_sizes = (100, 100)
    config.optimizer.name = "adam"
    config.prune.scope = "global"
    config.prune.densities = (0.2, 0.05)
    config.num_levels = 3
    if "smoke" in chosen:
        config.num_replicates = 2
        config.num_steps = 100
        config.checkpoint_every_steps = 100
    return config


def sweep(add: Callable[..., None]) -> None:
    """Adds a point for each learning rate."""
    for rate in RATES:
        add(**{"optimizer.learning_rate": rate})
