"""Models: linen modules, one family a file, and `Network`, their pure functions."""

from lth_jax.models.conv import ConvNet
from lth_jax.models.layers import INITIALIZERS, times
from lth_jax.models.lenet import LeNet
from lth_jax.models.making import MODELS, make_module, model_fields
from lth_jax.models.network import OUTPUT_LAYER, Network, from_linen
from lth_jax.models.nnx import from_nnx
from lth_jax.models.resnet import ResNet
from lth_jax.models.vgg import VGG

__all__ = [
    "INITIALIZERS",
    "MODELS",
    "OUTPUT_LAYER",
    "VGG",
    "ConvNet",
    "LeNet",
    "Network",
    "ResNet",
    "from_linen",
    "from_nnx",
    "make_module",
    "model_fields",
    "times",
]
