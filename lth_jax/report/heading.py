"""Heading: a study's net and data in words, and the fields away from their defaults."""

from typing import Any

from lth_jax.config import StudyConfig
from lth_jax.models.layers import scaled
from lth_jax.models.lenet import LeNet
from lth_jax.report.axes_of_studies import differing

NAMES = {
    "lenet": "LeNet",
    "conv2": "Conv-2",
    "conv4": "Conv-4",
    "conv6": "Conv-6",
    "resnet20": "ResNet-20",
    "vgg16": "VGG-16",
    "vgg19": "VGG-19",
    "mnist1d": "MNIST-1D",
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
}
_MOST_FIELDS, _MOST_ITEMS = 8, 4
# The heading and the facts below it state these.
_STATED = ["model.name", "data.name", "num_replicates", "num_levels", "num_steps"]
_NO_RESULT = ["checkpoint_every_steps", "members_per_call", "member_axis", "mesh.data"]


def heading(config: StudyConfig) -> str:
    """Returns the net and the data, such as "LeNet-300-100 on MNIST"."""
    net, model = _name(config.model.name), config.model
    if model.name == "lenet":
        units = model.hidden_sizes or LeNet.hidden_sizes
        net = "-".join([net, *(str(scaled(model.width, n)) for n in units)])
    return f"{net} on {_name(config.data.name)}"


def _name(name: str) -> str:
    """The proper name; the user's own is that of a class, a function or a file."""
    return NAMES.get(name) or name.partition(":")[2].partition("(")[0] or name


def settings(config: StudyConfig) -> str:
    """Returns the fields away from their defaults, or "" if there are none.

    Groups of fields precede single ones, from rewinding and pruning to data. Those that
    the page states elsewhere are left out, and those that change no result.
    """
    fields = differing([StudyConfig(), config])
    left_out = {*_STATED, *_NO_RESULT}
    if config.model.name == "lenet":
        left_out |= {"model.hidden_sizes", "model.width"}
    named = [name for name in fields if name not in left_out]
    groups = list(dict.fromkeys(_group(name) for name in named))
    named.sort(key=lambda name: -groups.index(_group(name)))
    told = [f"{name}\N{NO-BREAK SPACE}{_shown(fields[name][1])}" for name in named]
    return f"Not the defaults: {_cut(told, _MOST_FIELDS, ' · ')}" if told else ""


def _group(name: str) -> str:
    return name.rpartition(".")[0]


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return _cut([str(item) for item in value], _MOST_ITEMS, ", ")
    return str(value)


def _cut(items: list[str], most: int, between: str) -> str:
    """The items, or the first ones and how many more there are."""
    more = len(items) - most
    told = between.join(items[:most])
    return f"{told} and {more} more" if more > 0 else told
