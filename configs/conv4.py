"""Conv-4 on CIFAR-10, as in the paper.

As configs/conv2.py (Frankle & Carbin 2019), except for the net, Adam at 3e-4, 25,000
steps, and pruning 10% of each convolution at each level.

Command:   python -m lth_jax.main --config=configs/conv4.py
Expected:  In the paper, the dense net has 74.9% validation accuracy at early stop.
           Tickets of 9.2% stop 3.5 times earlier, and those of 11.1% have 3.5 points more
           test accuracy. Not run in full yet.
Time:      On 2 CPU cores, 100 steps of a net and an evaluation take 37 s. The study would
           take five weeks there, and needs a GPU. Not measured on a GPU yet.
Variant:   ":dropout" (section 5): rate 0.5, 75,000 steps, Adam at 2e-4; in the paper +3.0
           points for the dense net, and up to +4.6 more for tickets.
           ":smoke", as in configs/conv2.py: 1.5 minutes, with other work.
"""

import conv2
import ml_collections

from lth_jax import config as lth_config


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the study, or its variant "dropout", "smoke" or "dropout,smoke"."""
    config: ml_collections.ConfigDict = conv2.get_config(variant)
    config.model.name = "conv4"
    chosen = variant.split(",")
    if "smoke" in chosen:
        return config
    config.num_levels = 22
    config.num_steps = 75_000 if "dropout" in chosen else 25_000
    config.optimizer.learning_rate = 2e-4 if "dropout" in chosen else 3e-4
    config.prune.conv_fraction = 0.1
    if not variant:
        config.verdict.claims = (
            lth_config.Claim(0.092, "speedup", 3.5, 2.5, 5.0, "figure 5"),
            lth_config.Claim(0.111, "accuracy", 0.035, 0.02, 0.045, "figure 5"),
        )
    return config
