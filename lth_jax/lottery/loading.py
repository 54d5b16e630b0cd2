"""Loading: the data of a study, split and on the device."""

from typing import NamedTuple

import jax.numpy as jnp

from lth_jax import data
from lth_jax.config import StudyConfig
from lth_jax.training import keys, sampling
from lth_jax.training.losses import Examples


class Splits(NamedTuple):
    """The three splits on the device. Inputs keep their stored dtype and values."""

    train: Examples
    validation: Examples
    test: Examples


class Loaded(NamedTuple):
    """The data of a study: the training split on the host, all splits on the device."""

    train: data.Split
    normalization: data.Normalization
    splits: Splits
    num_outputs: int
    note: str | None


def load(config: StudyConfig) -> Loaded:
    """Reads and splits the data.

    Raises:
      DataError: if the data cannot be found or read.
    """
    source = data.load(config.data.name, config.data.raw_dir)
    order = sampling.epoch_order(
        keys.study_key(config.seed, "split"), 0, len(source.train.labels)
    )
    train, validation = data.hold_out(source.train, order, config.data.num_validation)
    return Loaded(
        train=train,
        normalization=data.channel_statistics(train.inputs),
        splits=Splits(*map(_on_device, (train, validation, source.test))),
        num_outputs=source.num_outputs,
        note=source.note,
    )


def _on_device(split: data.Split) -> Examples:
    return Examples(jnp.asarray(split.inputs), jnp.asarray(split.labels))
