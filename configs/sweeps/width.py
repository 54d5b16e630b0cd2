"""How small does the smallest ticket get as the dense net grows? On MNIST-1D.

Frankle & Carbin 2019, appendix G.6, find that larger nets are more accurate at the same
number of weights. Here LeNets of two layers, with 12 to 400 units each, are halved until
77 to 397 weights are left.

Command:   python -m lth_jax.sweep --config=configs/sweeps/width.py
           python -m lth_jax.sweep --config=configs/sweeps/width.py --config.seed=1 --workdir=runs/width-seed1
Expected:  see docs/findings.md.
Time:      4 min on 2 shared CPU cores. Not measured on a GPU yet.
Variant:   ":smoke", 100 steps, a check that everything runs.
"""  # noqa: E501  # a command is one line

from collections.abc import Callable

import ml_collections

from lth_jax import config as lth_config

ROUNDS = {12: 4, 25: 5, 50: 6, 100: 7, 200: 9, 400: 10}  # by units per layer


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the study that the points change, or its small variant "smoke"."""
    chosen = lth_config.variants(variant, ("smoke",))
    config = lth_config.default()
    config.arms = ("ticket",)
    config.num_replicates = 10
    config.num_steps = 1_200
    config.batch_size = 50
    config.eval_every_steps = 50
    config.checkpoint_every_steps = 1_200
    config.data.name = "mnist1d"
    config.data.num_validation = 1_000
    config.model.name = "lenet"
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 4e-3
    config.prune.fraction = 0.5
    config.prune.output_fraction = 0.25
    if "smoke" in chosen:
        config.num_replicates = 2
        config.num_steps = 100
        config.checkpoint_every_steps = 100
    return config


def sweep(add: Callable[..., None]) -> None:
    """Adds a point for each width."""
    for units, rounds in ROUNDS.items():
        add(**{"model.hidden_sizes": (units, units), "num_levels": 1 + rounds})
