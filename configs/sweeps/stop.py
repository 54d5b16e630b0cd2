"""When may the dense net stop? Masks pruned from weights after 2% to 100% of training.

Frankle & Carbin 2019 prune nets at the end of training. Here each level on MNIST-1D is
pruned after a share of its steps, at its early stop, or by the Early-Bird rule. Every
ticket still trains for the whole budget, so that its accuracy is comparable.

Command:   python -m lth_jax.sweep --config=configs/sweeps/stop.py
           python -m lth_jax.sweep --config=configs/sweeps/stop.py --config.seed=1 --workdir=runs/stop-seed1
Expected:  see docs/findings.md.
Time:      3 min on 2 shared CPU cores. Not measured on a GPU yet.
Variant:   ":smoke", 3 levels of 100 steps, a check that everything runs.
"""  # noqa: E501  # a command is one line

from collections.abc import Callable

import ml_collections

from lth_jax import config as lth_config

PLACES = ("2%", "5%", "10%", "25%", "50%", "100%", "early_stop", "early_bird")


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the study that the points change, or its small variant "smoke"."""
    chosen = lth_config.variants(variant, ("smoke",))
    config = lth_config.default()
    config.arms = ("ticket",)
    config.num_replicates = 10
    config.num_levels = 6
    config.num_steps = 1_200
    config.batch_size = 50
    config.eval_every_steps = 50
    config.checkpoint_every_steps = 1_200
    config.data.name = "mnist1d"
    config.data.num_validation = 1_000
    config.model.name = "lenet"
    config.model.hidden_sizes = (100, 100)
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 4e-3
    config.prune.fraction = 0.4
    config.prune.output_fraction = 0.2
    if "smoke" in chosen:
        config.num_replicates = 2
        config.num_levels = 3
        config.num_steps = 100
        config.eval_every_steps = 20
        config.checkpoint_every_steps = 100
    return config


def sweep(add: Callable[..., None]) -> None:
    """Adds a point for each moment of pruning."""
    for at in PLACES:
        add(**{"prune.at": at})
