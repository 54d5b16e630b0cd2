"""Is it only Glorot? Fourteen inits on MNIST-1D, trained as one program.

Frankle & Carbin 2019 draw every net from Glorot's normal, and vary only Gaussians
(appendix G.5). This sweep has Glorot, He and LeCun, each normal and uniform, Glorot
truncated and as plus or minus one number, and orthogonal. It also has plain normal and
uniform at several standard deviations. The net and data are those of configs/mnist1d.py;
the budget is smaller.

Command:   python -m lth_jax.sweep --config=configs/sweeps/init.py
           python -m lth_jax.sweep --config=configs/sweeps/init.py --config.seed=1 --workdir=runs/init-seed1
Expected:  see docs/findings.md.
Time:      6 to 7 min on 2 shared CPU cores. Not measured on a GPU yet.
Variants:  ":noise", for `python -m lth_jax.main`: only Glorot, and tickets with noise
           (appendix F.7); ":smoke", 3 levels of 200 steps, a check that everything runs.
"""  # noqa: E501  # a command is one line

from collections.abc import Callable

import ml_collections

from lth_jax import config as lth_config

NAMES = (
    "glorot_normal",
    "glorot_uniform",
    "glorot_truncated_normal",
    "glorot_signs",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
)
DEVIATIONS = {"normal": (0.03, 0.1, 0.3), "uniform": (0.03, 0.3)}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the study that the points change, or its variant "noise" or "smoke"."""
    chosen = lth_config.variants(variant, ("noise", "smoke"))
    config = lth_config.default()
    config.arms = ("ticket", "reinit")
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
    if "noise" in chosen:
        config.arms += ("noise_half", "noise_1", "noise_2", "noise_3")
    if "smoke" in chosen:
        config.num_replicates = 2
        config.num_levels = 3
        config.num_steps = 200
        config.checkpoint_every_steps = 200
    return config


def sweep(add: Callable[..., None]) -> None:
    """Adds a point for each init."""
    for name in NAMES:
        add(**{"init.name": name})
    for name, deviations in DEVIATIONS.items():
        for deviation in deviations:
            add(**{"init.name": name, "init.scale": deviation})
