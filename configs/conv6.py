"""Conv-6 on CIFAR-10, as in the paper.

As configs/conv2.py (Frankle & Carbin 2019), except for the net, Adam at 3e-4, 30,000
steps, and pruning 15% of each convolution at each level.

Command:   python -m lth_jax.main --config=configs/conv6.py
Expected:  In the paper, the dense net has 79.1% validation accuracy at early stop.
           Tickets of 15.1% stop 2.5 times earlier, and those of 26.4% have 3.3 points
           more test accuracy. Not run in full yet. Densities differ slightly from the
           paper's, because it counts weights differently (see `lth_jax.models.ConvNet`).
Time:      100 steps of a net, without evaluations, take 36 s on 2 CPU cores, and 0.08 s
           on an H100.
Variant:   ":dropout" (section 5): rate 0.5, 90,000 steps, Adam at 2e-4; in the paper +2.4
           points for the dense net, and up to +4.7 more for tickets.
           ":smoke", as in configs/conv2.py: 2.4 minutes, with other work.
"""

import conv2
import ml_collections

from lth_jax import config as lth_config


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the study, or its variant "dropout", "smoke" or "dropout,smoke"."""
    config: ml_collections.ConfigDict = conv2.get_config(variant)
    config.model.name = "conv6"
    chosen = variant.split(",")
    if "smoke" in chosen:
        return config
    config.num_levels = 23
    config.num_steps = 90_000 if "dropout" in chosen else 30_000
    config.optimizer.learning_rate = 2e-4 if "dropout" in chosen else 3e-4
    config.prune.conv_fraction = 0.15
    if not variant:
        config.verdict.claims = (
            lth_config.Claim(0.151, "speedup", 2.5, 1.8, 3.5, "figure 5"),
            lth_config.Claim(0.264, "accuracy", 0.033, 0.015, 0.04, "figure 5"),
        )
    return config
