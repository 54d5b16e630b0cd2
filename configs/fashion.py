"""LeNet-300-100 on Fashion-MNIST: the paper's MNIST set-up, unchanged, on harder data.

As configs/lenet.py (Frankle & Carbin 2019); data of Xiao, Rasul & Vollgraf 2017.

Command:   python -m lth_jax.main --config=configs/fashion.py
           If Debian's package dataset-fashion-mnist is installed, the first run can use
           its raw files: --config.data.raw_dir=/usr/share/datasets/fashion-mnist.
Expected:  The paper has no result for it, and the whole study has not been run yet.
Time:      As configs/lenet.py.
Variant:   ":smoke", as there: dense 85.2 ± 1.5, at 25% density the ticket 87.1 ± 0.6, a
           fresh init 85.5 ± 0.3.
"""

import lenet
import ml_collections


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the study, or its small variant "smoke"."""
    config: ml_collections.ConfigDict = lenet.get_config(variant)
    config.data.name = "fashion_mnist"
    config.verdict.claims = ()
    return config
