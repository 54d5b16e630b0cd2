"""LeNet-300-100 on Fashion-MNIST: the paper's MNIST set-up, as it stands, on harder data.

Frankle & Carbin 2019 as in configs/lenet.py; data of Xiao, Rasul & Vollgraf 2017.

Command:   python -m lth_jax.main --config=configs/fashion.py
           Debian's package dataset-fashion-mnist has the raw files: then add
           --config.data.raw_dir=/usr/share/datasets/fashion-mnist, the first time.
Expected:  the paper has no figure for it, and the whole study has not been run yet.
Time:      as configs/lenet.py.
Variant:   ":smoke", as there: dense 85.2 ± 1.5, at 25% density the ticket 87.1 ± 0.6, a
           fresh init 85.5 ± 0.3.
"""

import lenet
import ml_collections


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The study, or its small variant "smoke"."""
    config: ml_collections.ConfigDict = lenet.get_config(variant)
    config.data.name = "fashion_mnist"
    config.verdict.claims = ()
    return config
