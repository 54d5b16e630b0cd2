"""Models: linen modules, one family a file, and what turns them into functions."""

from lth_jax.models.initializers import INITIALIZERS
from lth_jax.models.lenet import LeNet
from lth_jax.models.network import OUTPUT_LAYER, Network, from_linen

MODELS = {"lenet": LeNet}

__all__ = [
    "INITIALIZERS",
    "MODELS",
    "OUTPUT_LAYER",
    "LeNet",
    "Network",
    "from_linen",
]
