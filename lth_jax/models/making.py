"""Making: a linen module by its name, with the wanted fields that it takes."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import flax.linen as nn

from lth_jax.models.conv import ConvNet
from lth_jax.models.lenet import LeNet
from lth_jax.models.resnet import ResNet
from lth_jax.models.vgg import VGG
from lth_jax.registry import Registry, UnknownName

Model = Callable[..., nn.Module]  # a class, a function, or a finished module


def _model(found: Any) -> Model:
    kind = found if isinstance(found, type) else type(found)
    if any(base.__module__.startswith("flax.nnx") for base in kind.__mro__):
        raise TypeError("it is of nnx; make a network of it with lth_jax.from_nnx")
    if not issubclass(kind, nn.Module) and (kind is found or not callable(found)):
        raise TypeError("must be a linen module, its class, or a function that makes it")
    model: Model = found
    return model


# The package's own models have these fields, beside those that each documents.
# num_classes: the number of logits. width: a factor of all channels and units except the
# classes. kernel_init: the initializer of kernels. dtype: that of the computation (params
# and batch statistics are float32).
MODELS: Registry[Model] = Registry(
    "model",
    {
        "lenet": LeNet,
        "conv2": ConvNet,
        "conv4": functools.partial(ConvNet, stages=((64, 64), (128, 128))),
        "conv6": functools.partial(ConvNet, stages=((64, 64), (128, 128), (256, 256))),
        "resnet20": ResNet,
        "vgg16": functools.partial(VGG, convolutions=(2, 2, 3, 3, 3)),
        "vgg19": VGG,
    },
    _model,
)


def model_fields(name: str) -> frozenset[str]:
    """The fields that a model of `MODELS.find` takes; a finished module takes none."""
    model = MODELS.find(name)
    made = isinstance(model, nn.Module)
    return frozenset() if made else frozenset(inspect.signature(model).parameters)


def make_module(name: str, **wanted: Any) -> nn.Module:
    """The module of a name, with the wanted fields that it takes.

    Raises:
      UnknownName: as `MODELS.find`, or if the module cannot be made with these fields.
    """
    model = MODELS.find(name)
    if isinstance(model, nn.Module):
        return model
    taken = model_fields(name) & wanted.keys()
    try:
        module: Any = model(**{field: wanted[field] for field in taken})
        if not isinstance(module, nn.Module):
            raise TypeError(f"it makes a {type(module).__name__}, not a linen module")
    except TypeError as error:
        raise UnknownName(f"{name!r} is no model ({error})") from None
    return module
