"""Experiment: a config made real, with the data on the device."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lth_jax import data
from lth_jax.config import ConfigError, StudyConfig
from lth_jax.core import keys, masks, optimizers, sampling
from lth_jax.core.pruning import Fraction
from lth_jax.core.training import Examples
from lth_jax.models import INITIALIZERS, MODELS, OUTPUT_LAYER, Network, from_linen


class Splits(NamedTuple):
    """The three splits on the device; inputs as they are stored."""

    train: Examples
    validation: Examples
    test: Examples


class Experiment(NamedTuple):
    """What a study needs besides its workdir.

    Attributes:
      config: as read.
      network: init and apply; normalises its inputs itself.
      tx: the optimizer.
      fraction: what a level prunes, by leaf for layer-wise pruning.
      splits: the data.
      data_note: what a reader of results must know of them, if anything.
    """

    config: StudyConfig
    network: Network
    tx: optax.GradientTransformation
    fraction: Fraction
    splits: Splits
    data_note: str | None


def build(config: StudyConfig) -> Experiment:
    """Loads the data and makes the net and the optimizer.

    Raises:
      ConfigError: if the config does not fit the data.
      DataError: if the data cannot be had.
    """
    source = data.load(config.data.name, config.data.raw_dir)
    order = sampling.epoch_order(
        keys.study_key(config.seed, "split"), 0, len(source.train.labels)
    )
    train, validation = data.hold_out(source.train, order, config.data.num_validation)
    if config.batch_size > len(train.labels):
        raise ConfigError(
            f"batch_size: {config.batch_size} is not allowed; must be at most"
            f" {len(train.labels)}, the number of training examples"
        )
    mean, std = data.channel_statistics(train.inputs)
    if not std.all():
        raise data.DataError(
            f"data.name: {config.data.name!r}; an input channel is constant, so it cannot"
            " be normalised"
        )

    def normalize(inputs: jax.Array) -> jax.Array:
        return (inputs.astype(jnp.float32) - mean) / std

    module = MODELS[config.model.name](
        num_classes=source.num_classes,
        hidden_sizes=config.model.hidden_sizes,
        kernel_init=INITIALIZERS[config.init.name],
    )
    network = from_linen(module, train.inputs[:1], normalize)
    spec = config.optimizer
    schedule = optimizers.make_schedule(
        spec.schedule,
        spec.learning_rate,
        num_steps=config.num_steps,
        warmup_steps=spec.warmup_steps,
        drop_steps=spec.drop_steps,
        drop_factor=spec.drop_factor,
    )
    tx = optimizers.make_optimizer(
        spec.name, schedule, momentum=spec.momentum, weight_decay=spec.weight_decay
    )
    splits = Splits(*(_on_device(split) for split in (train, validation, source.test)))
    return Experiment(
        config, network, tx, _fraction(config, network), splits, source.note
    )


def _on_device(split: data.Split) -> Examples:
    return Examples(jnp.asarray(split.inputs), jnp.asarray(split.labels, np.int32))


def _fraction(config: StudyConfig, network: Network) -> Fraction:
    prune = config.prune
    if prune.scope == "global":
        return prune.fraction
    params, _ = jax.eval_shape(network.init, jax.random.key(0))
    return {
        path: prune.output_fraction
        if path.startswith(f"{OUTPUT_LAYER}/")
        else prune.fraction
        for path, _ in masks.prunable_leaves(params)
    }
