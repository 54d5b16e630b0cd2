"""All pruning criteria side by side, in one shot, on MNIST-1D.

After training: magnitude (the ticket; Frankle & Carbin 2019), the criteria of Zhou et al.
2019 except two, and saliency. Before training: those two (large_init, small_init), SNIP,
GraSP, its magnitude, SynFlow, learned masks, and random pruning with three kinds of layer
densities. Each prunes the same dense nets, or their inits, to the same densities over all
layers together (edge_popup and random_* by layer). The surviving weights train from the
original init. This is section 3 of Frankle et al. 2021 (Missing the Mark), at a small
scale.

Command:   python -m lth_jax.main --config=configs/criteria.py
Expected:  At 50% and 20%, magnitude is among the best (57.8 ± 0.9 and 56.6 ± 0.8; the
           dense net 56.6 ± 1.3). At 20% it is above SNIP (51.9), GraSP (50.8) and SynFlow
           (51.8), as in that paper. At 5%, in one shot, SynFlow is above it (45.0 ± 0.9
           against 39.0 ± 2.2). Random pruning at the same density in each layer: 53.1,
           46.8, 43.6 and 31.4. As in Zhou et al. 2019, weights that are large or grew do
           best. Those that kept their sign do as well (56.8, 56.4), those that changed it
           are like random ones, and small ones are worse. Masks alone raise the untrained
           net from 9.2 to 20.5 (magnitude at 50%), 24.2 (its same-sign variant) and 40.3
           (supermask_rescaled).
Time:      3 min 20 s on 2 CPU cores, page included. Not measured on a GPU yet.
Variant:   ":smoke", 2 densities and 200 steps, a check that everything runs.
"""

import ml_collections

from lth_jax import config as lth_config
from lth_jax.pruning.criteria import CRITERIA


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the study, or its small variant "smoke"."""
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
    # On a trained net, large_final is the same criterion as magnitude.
    others = set(CRITERIA) - {"magnitude", "large_final"}
    config.arms = ("ticket", "reinit", "shuffle", *sorted(others))
    if "smoke" in chosen:
        config.num_replicates = 2
        config.num_steps = 200
        config.checkpoint_every_steps = 200
        config.prune.densities = (0.5, 0.1)
    config.num_levels = 1 + len(config.prune.densities)
    return config
