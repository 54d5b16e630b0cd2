"""VGG-19 on CIFAR-10, as in the paper.

Frankle & Carbin 2019, figure 2, section 4 and appendix I.2: momentum 0.9 at 0.1, divided
by 10 at steps 56,250 and 84,375 of 112,000 (epochs 80 and 120), weight decay 1e-4,
batches of 64, flips and crops, Gaussian Glorot, 45,000/5,000/10,000 examples. Global
pruning removes 20% of the convolutions; the output layer (5,120 of 20,024,000 weights) is
not pruned. Densities count all weights, as the paper's do. Curves of test accuracy have a
point every 5,000 steps; accuracy at early stop is exact.

Command:   python -m lth_jax.main --config=configs/vgg19.py
Expected:  In the paper, no difference between tickets and fresh inits at this rate. Not
           run in full yet. Nets are evaluated every 500 steps; the paper evaluates every
           100.
Time:      Needs a GPU; not measured yet.
Variant:   ":low_lr", at 0.01: in the paper tickets within one point of the dense net down
           to 3.5%.
           ":warmup", linear over 10,000 steps to 0.1: the dense net gains about a point,
           and tickets exceed it down to 1.5%.
           ":smoke": an eighth of the width, 2 levels of 50 steps; 4 minutes on 2 CPU
           cores with other work, mostly for compiling.
"""

import ml_collections

from lth_jax import config as lth_config


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the study, or variants of it ("low_lr", or "warmup,smoke")."""
    chosen = lth_config.variants(variant, ("low_lr", "warmup", "smoke"))
    config = lth_config.default()
    config.num_replicates = 5
    config.num_levels = 20
    config.num_steps = 112_000
    config.batch_size = 64
    config.eval_every_steps = 500
    config.eval_test_every_steps = 5_000
    config.checkpoint_every_steps = 8_000
    config.data.name = "cifar10"
    config.data.num_validation = 5_000
    config.data.augment = "flip_and_crop"
    config.model.name = "vgg19"
    config.init.name = "glorot_normal"
    config.optimizer.name = "momentum"
    config.optimizer.learning_rate = 0.1
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 1e-4
    config.optimizer.schedule = "step_drops"
    config.optimizer.drop_steps = (56_250, 84_375)
    config.prune.criterion = "magnitude"
    config.prune.scope = "global"
    config.prune.fraction = 0.2
    config.prune.exclude = ("output",)
    if "low_lr" in chosen:
        config.optimizer.learning_rate = 0.01
    if "warmup" in chosen:
        config.optimizer.warmup_steps = 10_000
    if "smoke" in chosen:
        config.num_replicates = 2
        config.num_levels = 2
        config.num_steps = 50
        config.eval_every_steps = 50
        config.eval_test_every_steps = None
        config.checkpoint_every_steps = 50
        config.arms = ("ticket", "reinit")
        config.model.width = 0.125
        config.optimizer.warmup_steps //= 1_000
        config.optimizer.drop_steps = (30, 40)
        config.prune.fraction = 0.5
    return config
