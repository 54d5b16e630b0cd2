"""Models: linen modules, one family a file, and what turns them into functions."""

import functools
import inspect
from collections.abc import Callable

import flax.linen as nn

from lth_jax.models.conv import ConvNet
from lth_jax.models.initializers import INITIALIZERS
from lth_jax.models.lenet import LeNet
from lth_jax.models.network import OUTPUT_LAYER, Network, from_linen
from lth_jax.models.resnet import ResNet
from lth_jax.models.vgg import VGG

# All take num_classes, width, kernel_init and dtype; some hidden_sizes and dropout_rate.
MODELS: dict[str, Callable[..., nn.Module]] = {
    "lenet": LeNet,
    "conv2": ConvNet,
    "conv4": functools.partial(ConvNet, stages=((64, 64), (128, 128))),
    "conv6": functools.partial(ConvNet, stages=((64, 64), (128, 128), (256, 256))),
    "resnet20": ResNet,
    "vgg16": functools.partial(VGG, convolutions=(2, 2, 3, 3, 3)),
    "vgg19": VGG,
}


def model_fields(name: str) -> frozenset[str]:
    """The fields that a model of a name in `MODELS` takes."""
    factory = MODELS[name]
    module = factory.func if isinstance(factory, functools.partial) else factory
    return frozenset(inspect.signature(module).parameters)


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
    "model_fields",
]
