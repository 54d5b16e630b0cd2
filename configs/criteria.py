"""Every criterion of pruning side by side, in one shot, on MNIST-1D.

After training: magnitude (the ticket), Zhou et al. 2019's others, saliency; before: SNIP,
GraSP, its magnitude, SynFlow, random pruning with three kinds of layer densities.
Each prunes the same dense nets, or their inits, to the same densities over all layers
together, and trains what is left from the original init, as in Frankle et al. 2021
(Missing the Mark, section 3), there late rewound and on larger nets.

Command:   python -m lth_jax.main --config=configs/criteria.py
Variant:   ":smoke", 2 densities and 200 steps, a check that everything runs.
"""

import ml_collections

from lth_jax import config as lth_config
from lth_jax.criteria import CRITERIA


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The study, or its small variant "smoke"."""
    chosen = lth_config.variants(variant, ("smoke",))
    config = lth_config.default()
    config.num_replicates = 10
    config.num_steps = 2_000
    config.batch_size = 50
    config.eval_every_steps = 50
    config.checkpoint_every_steps = 2_000
    config.data.name = "mnist1d"
    config.data.num_validation = 1_000
    config.model.name = "lenet"
    config.model.hidden_sizes = (100, 100)
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 4e-3
    config.prune.criterion = "magnitude"
    config.prune.scope = "global"
    config.prune.densities = (0.5, 0.2, 0.1, 0.05)
    # Of a trained net, large_final is magnitude by another name.
    others = set(CRITERIA) - {"magnitude", "large_final"}
    config.arms = ("ticket", "reinit", "shuffle", *sorted(others))
    if "smoke" in chosen:
        config.num_replicates = 2
        config.num_steps = 200
        config.checkpoint_every_steps = 200
        config.prune.densities = (0.5, 0.1)
    config.num_levels = 1 + len(config.prune.densities)
    return config
