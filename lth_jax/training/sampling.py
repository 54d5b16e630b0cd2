"""Sampling: the examples of each batch or sample, a pure function of the key.

The permutations of the epochs follow one another without a gap. A batch may span two
epochs, and every epoch has each example exactly once. NumPy permutes on the host: XLA's
sort on CPU takes 40 times as long, and the host is idle while a segment runs.
"""

import jax
import numpy as np
from jaxtyping import Int, Int32

from lth_jax.training.keys import key_data


def epoch_order(
    key: jax.Array, epoch: int, num_examples: int
) -> Int32[np.ndarray, " {num_examples}"]:
    """A fresh permutation of the examples, 0 .. num_examples - 1, for one epoch.

    The key may have any implementation, and may be typed or not (`jax.random.PRNGKey`).
    """
    words = np.zeros(4, np.uint64)  # a key has two, or four
    words[: key_data(key).size] = key_data(key)
    seed = words[:2] | words[2:] << np.uint64(32)
    bits = np.random.Philox(key=seed, counter=epoch << 64)
    return np.random.Generator(bits).permutation(num_examples).astype(np.int32)


def batch_indices(
    key: jax.Array, start_step: int, num_steps: int, *, batch_size: int, num_examples: int
) -> Int32[np.ndarray, "{num_steps} {batch_size}"]:
    """The batches of steps start_step .. start_step + num_steps - 1, as indices.

    They are indices into a training set of `num_examples`. The key is the member's for
    the order of its data. A batch depends on the key and its step alone, so that slices
    of a run agree with the whole run.

    Raises:
      ValueError: on a batch larger than the data, or on several keys.

    Example:
      >>> key = jax.random.key(0)
      >>> whole = batch_indices(key, 0, 6, batch_size=2, num_examples=5)
      >>> part = batch_indices(key, 4, 2, batch_size=2, num_examples=5)
      >>> whole.shape, (whole[4:] == part).all().item()
      ((6, 2), True)
    """
    if not 0 < batch_size <= num_examples:
        raise ValueError(
            f"batch_size: {batch_size}; must be from 1 to {num_examples}, the number"
            " of training examples"
        )
    if key_data(key).ndim != 1:
        raise ValueError(f"key: of shape {key.shape}; must be one key, of one member")
    start, stop = start_step * batch_size, (start_step + num_steps) * batch_size
    epochs = range(start // num_examples, -(-stop // num_examples))
    orders = [epoch_order(key, epoch, num_examples) for epoch in epochs]
    offset = start - epochs.start * num_examples
    indices = np.concatenate([*orders, np.empty(0, np.int32)])
    return indices[offset : offset + stop - start].reshape(num_steps, batch_size)


def balanced_indices(
    key: jax.Array, labels: Int[np.ndarray, " n"], num_per_class: int
) -> Int32[np.ndarray, " sampled"]:
    """A sample with `num_per_class` examples of each class, without repetitions.

    It returns indices into the labels, class after class, for the classes that occur.

    Raises:
      ValueError: naming a class that has fewer examples.
    """
    order = epoch_order(key, 0, len(labels))
    of_class = {c: order[labels[order] == c] for c in np.unique(labels)}
    for c, indices in of_class.items():
        if len(indices) < num_per_class:
            raise ValueError(
                f"num_per_class: {num_per_class}; class {c} has {len(indices)} examples"
            )
    return np.concatenate([indices[:num_per_class] for indices in of_class.values()])
