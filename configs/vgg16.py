"""VGG-16 on CIFAR-10, with late rewinding.

The net of the paper's follow-up (Frankle et al. 2020, sections 3 and 4). It trains as
VGG-19 does in Frankle & Carbin 2019 (see configs/vgg19.py), except with batches of 128.
Its 160 epochs are therefore 56,250 steps. It is rewound to step 1,000, from which tickets
match the dense net at a rate of 0.1.

Command:   python -m lth_jax.main --config=configs/vgg16.py
Expected:  In Frankle et al. 2020, tickets match the dense net down to 1.2%; shuffled
           masks and fresh inits match it only down to 16.8%. Not run in full yet.
Time:      Needs a GPU; not measured yet.
Variant:   ":low_lr" and ":warmup", as in configs/vgg19.py, rewound to the init.
           ":smoke", as in configs/vgg19.py: 3 minutes, with other work.
"""

import ml_collections
import vgg19


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the study, or variants of it ("low_lr", or "warmup,smoke")."""
    config: ml_collections.ConfigDict = vgg19.get_config(variant)
    config.model.name = "vgg16"
    chosen = variant.split(",")
    if not {"low_lr", "warmup"} & set(chosen):  # these need no late rewinding
        config.rewind.preset = "late_rewind"
        config.rewind.step = "10" if "smoke" in chosen else "1000"
    if "smoke" in chosen:
        return config
    config.num_levels = 21
    config.num_steps = 56_250
    config.batch_size = 128
    config.eval_every_steps = 250
    config.eval_test_every_steps = 2_500
    config.checkpoint_every_steps = 6_250
    config.optimizer.drop_steps = (28_125, 42_188)
    return config
