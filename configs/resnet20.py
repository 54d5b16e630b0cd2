"""ResNet-20 on CIFAR-10, the paper's "ResNet-18".

Frankle & Carbin 2019, figure 2, section 4 and appendix I.3: momentum 0.9 at 0.1, divided
by 10 at steps 20,000 and 25,000 of 30,000, weight decay 1e-4, batches of 128, flips and
crops, Gaussian Glorot, 45,000/5,000/10,000 examples. Global pruning removes 20% of the
convolutions; the shortcuts and the output layer (3,200 of 270,896 weights) are not
pruned. Densities count all weights, as the paper's do. Curves of test accuracy have a
point every 5,000 steps; accuracy at early stop is exact.

Command:   python -m lth_jax.main --config=configs/resnet20.py
Expected:  In the paper, 90.5% for the dense net, and no difference between tickets and
           fresh inits at this rate. Not run in full yet. Nets are evaluated every 500
           steps; the paper evaluates every 100.
Time:      Needs a GPU; the whole study has not been measured yet.
Variant:   ":low_lr", at 0.01: in the paper tickets of 41.7% to 21.9% reach 89.5%.
           ":warmup", at 0.03 after a linear warm-up of 20,000 steps: 90.5% at 27.1%, and
           tickets down to 11.8%.
           ":late_rewind" (Frankle et al. 2020), to step 500: matching tickets at 0.1.
           ":smoke": an eighth of the width, 2 levels of 50 steps; 4 minutes on 2 CPU
           cores with other work, mostly for compiling.
"""

import ml_collections

from lth_jax import config as lth_config


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the study, or variants of it ("low_lr", or "warmup,smoke")."""
    chosen = lth_config.variants(variant, ("low_lr", "warmup", "late_rewind", "smoke"))
    if {"low_lr", "warmup"} <= chosen:
        raise lth_config.ConfigError(
            f"config variant: {variant!r}; must not have both low_lr and warmup, because"
            " each sets the learning rate"
        )
    config = lth_config.default()
    config.num_replicates = 5
    config.num_levels = 13
    config.num_steps = 30_000
    config.batch_size = 128
    config.eval_every_steps = 500
    config.eval_test_every_steps = 5_000
    config.checkpoint_every_steps = 1_000
    config.data.name = "cifar10"
    config.data.num_validation = 5_000
    config.data.augment = "flip_and_crop"
    config.model.name = "resnet20"
    config.init.name = "glorot_normal"
    config.optimizer.name = "momentum"
    config.optimizer.learning_rate = 0.1
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 1e-4
    config.optimizer.schedule = "step_drops"
    config.optimizer.drop_steps = (20_000, 25_000)
    config.prune.criterion = "magnitude"
    config.prune.scope = "global"
    config.prune.fraction = 0.2
    config.prune.exclude = ("shortcut", "output")
    if "low_lr" in chosen:
        config.optimizer.learning_rate = 0.01
    if "warmup" in chosen:
        config.optimizer.learning_rate = 0.03
        config.optimizer.warmup_steps = 20_000
    if "late_rewind" in chosen:
        config.rewind.preset = "late_rewind"
        config.rewind.step = "500"
    config.verdict.claims = _claims(chosen)
    if "smoke" in chosen:
        config.num_replicates = 2
        config.num_levels = 2
        config.num_steps = 50
        config.batch_size = 64
        config.eval_every_steps = 50
        config.eval_test_every_steps = None
        config.checkpoint_every_steps = 50
        config.arms = ("ticket", "reinit")
        config.model.width = 0.125
        config.optimizer.warmup_steps //= 1_000
        config.optimizer.drop_steps = (30, 40)
        config.prune.fraction = 0.5
        if "late_rewind" in chosen:
            config.rewind.step = "5"
    return config


def _claims(chosen: frozenset[str]) -> tuple[lth_config.Claim, ...]:
    """Claims of section 4 and figure 8; bounds follow other reproductions."""
    if chosen == {"low_lr"}:
        best = "final_accuracy", 0.895, 0.889, 0.901, "section 4"
        return (lth_config.Claim(0.271, *best, reference="none"),)
    if chosen == {"warmup"}:
        best = "final_accuracy", 0.905, 0.899, 0.911, "section 4"
        return (lth_config.Claim(0.271, *best, reference="none"),)
    if chosen:
        return ()
    same = "final_accuracy", 0.0, -0.005, 0.005, "section 4"
    dense = "final_accuracy", 0.905, 0.9, 0.91, "section 4"
    return (
        lth_config.Claim(1.0, *dense, reference="none"),
        lth_config.Claim(0.271, *same, reference="reinit"),
    )
