"""Source: a data set in memory, as NumPy arrays, and how it is split."""

import logging
from typing import Any, NamedTuple

import numpy as np

from lth_jax.errors import UserError

_log = logging.getLogger(__name__)


class DataError(UserError):
    """The data are missing, damaged or not fit for the study."""


class Split(NamedTuple):
    """Inputs [N, ..., channels], and labels.

    Inputs are uint8 or float32; tokens are int32. Labels are classes, int32[N, ...], or
    numbers, float32[N, ..., outputs].
    """

    inputs: np.ndarray
    labels: np.ndarray


class Normalization(NamedTuple):
    """Mean and standard deviation of each channel (the last axis), float32[C]."""

    mean: np.ndarray
    std: np.ndarray

    def apply(self, inputs: Any) -> Any:
        """Stored inputs, of NumPy or JAX, normalised to float32; tokens stay. Pure."""
        if _are_tokens(inputs):
            return inputs
        shape = (1,) * (inputs.ndim - 1) + (-1,)  # JAX may require the same rank
        mean, std = self.mean.reshape(shape), self.std.reshape(shape)
        return (inputs.astype(np.float32) - mean) / std


class Source(NamedTuple):
    """A whole data set: all training examples, and the test examples."""

    train: Split
    test: Split
    num_outputs: int  # the number of classes, or of numbers in each label
    note: str | None = None  # what a reader of results must know of the data


def hold_out(train: Split, order: np.ndarray, num_validation: int) -> tuple[Split, Split]:
    """Splits off validation examples: the first of `order`, a permutation.

    Returns the remaining training split, and the validation split.

    Raises:
      DataError: if no example would be left for training.
    """
    size = len(train.labels)
    if not 0 < num_validation < size:
        raise DataError(
            f"data.num_validation: {num_validation}; must be from 1 to {size - 1}, below"
            " the number of training examples"
        )
    parts = np.split(order, [num_validation])
    held_out, rest = (Split(train.inputs[i], train.labels[i]) for i in parts)
    return rest, held_out


def channel_statistics(inputs: np.ndarray) -> Normalization:
    """The mean and standard deviation of each channel, which normalise the inputs.

    Tokens have mean 0 and deviation 1. A constant channel has its value as mean and
    deviation 1, and becomes 0; a warning names it.

    Raises:
      DataError: if float32 does not hold a channel's deviation.
    """
    channels = inputs.reshape(-1, inputs.shape[-1])
    if _are_tokens(inputs):
        return Normalization(
            np.zeros(len(channels.T), np.float32), np.ones(len(channels.T), np.float32)
        )
    if inputs.dtype == np.uint8:
        mean, std = _of_levels(channels)
    else:
        # Each channel by itself: over all channels NumPy adds row after row, and such a
        # float32 sum stops growing at 2**24.
        with np.errstate(over="ignore"):
            mean, std = (
                np.array([getattr(c, f)(dtype=np.float32) for c in channels.T])
                for f in ("mean", "std")
            )
    if not np.isfinite(std).all():
        bad = np.flatnonzero(~np.isfinite(std)).tolist()
        raise DataError(f"data: channels {bad} are too large to normalise; scale them")
    is_constant = (std == 0) | (channels.min(0) == channels.max(0))
    if is_constant.any():
        _log.warning(
            "%d of %d channels are constant in the training inputs (%s): not scaled",
            is_constant.sum(),
            len(is_constant),
            ", ".join(map(str, np.flatnonzero(is_constant)[:10])),
        )
    mean = np.where(is_constant, channels[0], mean)
    std = np.where(is_constant, 1, std)
    return Normalization(mean.astype(np.float32), std.astype(np.float32))


def _of_levels(channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The exact mean and standard deviation, float64[C], of uint8[N, C]."""
    levels = np.arange(256, dtype=np.float64)
    counts = np.stack([np.bincount(c, minlength=256) for c in channels.T])
    frequencies = counts / len(channels)
    mean = frequencies @ levels
    return mean, np.sqrt(np.maximum(frequencies @ levels**2 - mean**2, 0))


def _are_tokens(inputs: Any) -> bool:
    return bool(np.issubdtype(inputs.dtype, np.signedinteger))
