"""LeNet-300-100 on MNIST, as in the paper.

Frankle & Carbin 2019, figure 2, section 2 and appendix G: Adam at 1.2e-3, batches of
60, 50,000 steps, Gaussian Glorot, 55,000/5,000/10,000 examples, evaluation every 100
steps, layer-wise pruning by 20% (10% for the output layer), five replicates.

Command:   python -m lth_jax.main --config=configs/lenet.py
           With raw files at hand: add --config.data.raw_dir=FOLDER, the first time.
Expected:  __EXPECTED__
Time:      __TIME__
Variant:   ":smoke", 4 levels of 1,000 steps that halve the weights: __SMOKE__
"""

import ml_collections

from lth_jax import config as lth_config


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The study, or its small variant "smoke"."""
    lth_config.check_variant(variant, ("smoke",))
    config = lth_config.default()
    config.num_replicates = 5
    config.num_levels = 21
    config.num_steps = 50_000
    config.batch_size = 60
    config.eval_every_steps = 100
    config.checkpoint_every_steps = 5_000
    config.data.name = "mnist"
    config.data.num_validation = 5_000
    config.model.name = "lenet"
    config.model.hidden_sizes = (300, 100)
    config.init.name = "glorot_normal"
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 1.2e-3
    config.prune.criterion = "magnitude"
    config.prune.scope = "layerwise"
    config.prune.fraction = 0.2
    config.prune.output_fraction = 0.1
    if variant == "smoke":
        config.num_replicates = 3
        config.num_levels = 4
        config.num_steps = 1_000
        config.checkpoint_every_steps = 1_000
        config.prune.fraction = 0.5
        config.prune.output_fraction = 0.25
    return config
