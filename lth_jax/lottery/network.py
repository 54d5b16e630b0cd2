"""Network: the net of a study, made from its config and its data."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lth_jax import data, models
from lth_jax.config import ConfigError, StudyConfig
from lth_jax.data.augment import AUGMENTATIONS
from lth_jax.models import Network

_IMAGES = {3: "images [height, width, channels]"}
# By the rank of an input, what a packaged net takes. LeNet takes all.
_TAKES = {name: _IMAGES for name in models.MODELS if name != "lenet"}
_TAKES["resnet20"] = _IMAGES | {2: "signals [length, channels]"}


def make_module(config: StudyConfig, num_classes: int) -> nn.Module:
    """The linen module that a config names, with its initializer and its sizes."""
    model = config.model
    initializer = models.INITIALIZERS.find(config.init.name)
    # A setting that is left out keeps the module's own default.
    given = {
        "hidden_sizes": model.hidden_sizes,
        "dropout_rate": model.dropout_rate,
        "width": model.width if model.width != 1 else None,
    }
    return models.make_module(
        model.name,
        num_classes=num_classes,
        kernel_init=models.times(config.init.scale, initializer),
        dtype=jnp.dtype(config.compute_dtype),
        **{name: value for name, value in given.items() if value},
    )


def make_network(
    config: StudyConfig,
    module: nn.Module,
    normalization: data.Normalization,
    train: data.Split,
) -> Network:
    """The net, which augments and normalises its inputs itself.

    Raises:
      ConfigError: if the model or the augmentation does not take this shape of inputs.
    """
    model, shape = config.model, train.inputs.shape[1:]
    are_images = len(shape) == 3
    if config.data.augment != "none" and not are_images:
        raise ConfigError(
            f"data.augment: {config.data.augment!r} is not allowed; must be 'none' for"
            f" inputs of shape {shape}"
        )
    augment = AUGMENTATIONS[config.data.augment]
    network = models.from_linen(module, train.inputs[:1], normalization.apply, augment)
    try:
        takes = _TAKES.get(model.name)
        if takes is not None and len(shape) not in takes:
            raise ValueError(f"it takes {' or '.join(takes.values())}")
        jax.eval_shape(network.init, jax.random.key(0))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"model.name: {model.name!r} is not allowed for inputs of shape {shape}"
            f" ({str(error).splitlines()[0]})"
        ) from None
    return network
