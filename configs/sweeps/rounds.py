"""One-shot or iterative, how fast, layer-wise or global? To 5% of the weights of MNIST-1D.

Frankle & Carbin 2019 prune 20% of each layer per round; one-shot is figure 4c, and
appendix G.4 varies the rate. Here each point reaches the same density in 1 to 28 rounds.
A round removes 95% to 10% of the remaining weights, of each layer or of all together.

Command:   python -m lth_jax.sweep --config=configs/sweeps/rounds.py
           python -m lth_jax.sweep --config=configs/sweeps/rounds.py --config.seed=1 --workdir=runs/rounds-seed1
Expected:  see docs/findings.md.
Time:      4 min on 2 shared CPU cores. Not measured on a GPU yet.
Variant:   ":smoke", 100 steps, a check that everything runs.
"""  # noqa: E501  # a command is one line

from collections.abc import Callable

import ml_collections

from lth_jax import config as lth_config

DENSITY = 0.05  # after the last round
ROUNDS = (1, 2, 3, 6, 14, 28)


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
    config.model.hidden_sizes = (100, 100)
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 4e-3
    if "smoke" in chosen:
        config.num_replicates = 2
        config.num_steps = 100
        config.checkpoint_every_steps = 100
    return config


def sweep(add: Callable[..., None]) -> None:
    """Adds a point for each scope and number of rounds."""
    for scope in ("layerwise", "global"):
        for rounds in ROUNDS:
            fraction = round(1 - DENSITY ** (1 / rounds), 4)
            names = "prune.fraction", "prune.output_fraction"
            fractions = dict.fromkeys(names, fraction)
            add(**{"prune.scope": scope, "num_levels": 1 + rounds}, **fractions)
