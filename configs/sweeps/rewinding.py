"""How late must one rewind? A narrow ResNet-20 on MNIST-1D, at a rate that is too high.

Frankle et al. 2020: tickets of deep nets fail at the init, and win from where nets have
become stable to the noise of SGD. Here masks are pruned once, to 3% of the weights, and
tickets start from the dense net's weights at step k. A fresh init stands beside each.
`analyze connectivity` then measures how stable the nets are at each k.

Command:   python -m lth_jax.sweep --config=configs/sweeps/rewinding.py
           for k in 0 50 100 200; do
             python -m lth_jax.analyze connectivity --workdir=$(echo runs/rewinding-sweep/*step=$k)
           done
           python -m lth_jax.sweep --config=configs/sweeps/rewinding.py    # with the barriers
Expected:  see docs/findings.md.
Time:      7 min on 2 CPU cores that others used too. Not measured on a GPU yet.
Variant:   ":low_lr", at 0.02 instead of 0.2. ":warmup", at 0.2 after a linear warm-up of
           200 steps. ":smoke", 60 steps, a check that everything runs.

Full size: python -m lth_jax.sweep --config=resnet20 --sweep=configs/sweeps/rewind_steps.py
"""  # noqa: E501  # a command is one line

from collections.abc import Callable

import ml_collections

from lth_jax import config as lth_config


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The study that the points are of, or variants of it ("low_lr", "warmup,smoke")."""
    chosen = lth_config.variants(variant, ("low_lr", "warmup", "smoke"))
    config = lth_config.default()
    config.arms = ("ticket", "reinit")
    config.num_replicates = 10
    config.num_levels = 2
    config.num_steps = 600
    config.batch_size = 64
    config.eval_every_steps = 50
    config.checkpoint_every_steps = 600
    config.data.name = "mnist1d"
    config.data.num_validation = 500
    config.model.name = "resnet20"
    config.model.width = 0.5
    config.init.name = "he_normal"
    config.optimizer.name = "momentum"
    config.optimizer.learning_rate = 0.02 if "low_lr" in chosen else 0.2
    config.optimizer.schedule = "cosine"
    config.prune.scope = "global"
    config.prune.densities = (0.03,)
    if "warmup" in chosen:
        config.optimizer.warmup_steps = 200
    if "smoke" in chosen:
        config.num_replicates = 2
        config.num_steps = 240
    return config


def sweep(add: Callable[..., None]) -> None:
    """Adds the steps k that levels are rewound to."""
    add(**{"rewind.preset": "rewind", "rewind.step": "0"})
    for k in ("50", "100", "200"):
        add(**{"rewind.preset": "late_rewind", "rewind.step": k})
