"""Conv-6 on CIFAR-10, as in the paper.

Frankle & Carbin 2019 as in configs/conv2.py, except the net, Adam at 3e-4, 30,000 steps,
and 15% of each convolution at each level.

Command:   python -m lth_jax.main --config=configs/conv6.py
Expected:  in the paper 79.1% validation accuracy at early stop for the dense net; tickets
           of 15.1% stop 2.5 times earlier, and those of 26.4% have 3.3 points more test
           accuracy. Not run in full yet. Densities differ a little from the paper's, as
           its count of weights does (see `lth_jax.models.ConvNet`).
Time:      on 2 CPU cores 36 s for 100 steps of a net without the evaluations; on an H100
           0.08 s.
Variant:   ":dropout" (section 5): rate 0.5, 90,000 steps, Adam at 2e-4; in
           the paper +2.4 points for the dense net, and up to +4.7 more for tickets.
           ":smoke", as configs/conv2.py: 2.4 minutes, beside other work.
"""

import conv2
import ml_collections

from lth_jax import config as lth_config


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The study, or its variants "dropout" and "smoke", or both ("dropout,smoke")."""
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
