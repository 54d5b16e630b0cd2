"""Overlap: whether masks keep the same weights, compared with chance.

The measure is intersection over union. Two random masks also share weights. Their mean
overlap is computed exactly, from their counts alone.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from lth_jax.analysis import intervals
from lth_jax.analysis.intervals import Estimate

NET = "net"  # the key of all layers together, beside those by path
_REACH = 12  # standard deviations; the probability beyond is below 1e-30


class Counts(NamedTuple):
    """Counts of weights for two masks of one layer, int32[...] each; a pytree."""

    first: jax.Array  # kept by the first mask
    second: jax.Array  # kept by the second mask
    shared: jax.Array  # kept by both
    size: jax.Array  # all weights of the layer


class Overlap(NamedTuple):
    """Intersection over union of two masks, from 0 to 1."""

    found: float
    chance: float  # the mean for random masks that keep as many weights in each layer

    @property
    def excess(self) -> float:
        """The overlap beyond chance: 0 if it equals chance, 1 if the masks are equal."""
        return (self.found - self.chance) / (1 - self.chance) if self.chance < 1 else 0.0


class Agreement(NamedTuple):
    """The mean overlap of several pairs of masks, and its mean by chance."""

    found: Estimate
    chance: float


def counts(
    first: Bool[jax.Array | np.ndarray, "..."],
    second: Bool[jax.Array | np.ndarray, "..."],
) -> Counts:
    """Returns the counts of two masks of the same shape; pure, for `jit` and `vmap`.

    Raises:
      ValueError: if the shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"masks differ in shape: {first.shape} and {second.shape}")
    masks = first, second, jnp.logical_and(first, second)
    kept = [jnp.sum(mask, dtype=jnp.int32) for mask in masks]
    return Counts._make([*kept, jnp.int32(math.prod(first.shape))])


def overlap(layers: Sequence[Counts]) -> Overlap:
    """Returns the overlap in one layer, or in several together.

    Masks that keep nothing count as equal. Chance is that of random masks that keep as
    many weights in each layer.
    """
    numbers = [tuple(map(int, layer)) for layer in layers]
    first, second, shared, _ = map(sum, zip(*numbers, strict=True))
    either = first + second - shared
    found = shared / either if either else 1.0
    return Overlap(found, chance(tuple((a, b, size) for a, b, _, size in numbers)))


@functools.lru_cache(maxsize=1024)
def chance(layers: tuple[tuple[int, int, int], ...]) -> float:
    """Returns the mean overlap of two random masks.

    `layers` holds, for each layer, how many weights the first mask keeps, how many the
    second keeps, and how many there are. The number that they share is hypergeometric.
    """
    import scipy.signal  # here, since few reports need it: it takes half a second

    kept = sum(a + b for a, b, _ in layers)
    if not kept:
        return 1.0
    least, law = 0, np.ones(1)
    for numbers in layers:
        first, own = _law(*numbers)
        least, law = least + first, scipy.signal.convolve(law, own)
    shared = least + np.arange(len(law))
    return float(np.sum(law * shared / (kept - shared)))


def _law(num_first: int, num_second: int, size: int) -> tuple[int, np.ndarray]:
    """Returns the smallest number of shared weights, and probabilities from it on."""
    import scipy.stats  # here, for the same reason

    first, second = num_first / size, num_second / size
    mean, places = size * first * second, size**2 / max(1, size - 1)
    reach = 1 + _REACH * math.sqrt(first * (1 - first) * second * (1 - second) * places)
    least = max(0, num_first + num_second - size, math.floor(mean - reach))
    most = min(num_first, num_second, math.ceil(mean + reach))
    law = scipy.stats.hypergeom(size, num_first, num_second)
    return least, law.pmf(np.arange(least, most + 1))


def overlaps(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]
) -> dict[str, Overlap]:
    """Returns the overlap of two nets' masks by path, and of the whole net as `NET`."""
    counted = {path: counts(mask, second[path]) for path, mask in first.items()}
    return _with_net(jax.device_get(counted))


def among(masks: Mapping[str, np.ndarray]) -> dict[str, Agreement]:
    """Returns the mean overlap over all pairs of replicates, by path and for `NET`.

    Masks are bool[R, ...] by the layer's path. Pairs share replicates; the interval is
    therefore that of the jackknife over replicates (Arvesen 1969). The mean needs two
    replicates, and the interval three.
    """

    @jax.jit
    def each(own: jax.Array) -> Counts:  # one at a time, to save memory
        with_all: Counts = jax.lax.map(
            lambda one: jax.vmap(counts, (None, 0))(one, own), own
        )
        return with_all

    counted = jax.device_get({path: each(mask) for path, mask in masks.items()})
    number = len(next(iter(masks.values())))
    pairs = [(i, j) for j in range(number) for i in range(j)]
    found = [_with_net(jax.tree.map(lambda x, p=p: x[p], counted)) for p in pairs]

    def agreement(name: str) -> Agreement:
        values = [one[name].found for one in found]
        own = _pseudo_values(pairs, values, number) if number > 2 else np.array(values)
        value = intervals.mean(own, bounds=(0.0, 1.0))
        return Agreement(value, float(np.mean([one[name].chance for one in found])))

    return {name: agreement(name) for name in found[0]}


def between(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]
) -> dict[str, Agreement]:
    """Returns the mean overlap over replicates of two masks, bool[R, ...] by path."""
    each = jax.jit(jax.vmap(counts))
    counted = jax.device_get({path: each(x, second[path]) for path, x in first.items()})
    number = len(next(iter(first.values())))
    found = [_with_net(jax.tree.map(lambda x, r=r: x[r], counted)) for r in range(number)]
    return {
        name: Agreement(
            intervals.mean([one[name].found for one in found], bounds=(0.0, 1.0)),
            float(np.mean([one[name].chance for one in found])),
        )
        for name in found[0]
    }


def _with_net(counted: Mapping[str, Counts]) -> dict[str, Overlap]:
    layers = {path: overlap([one]) for path, one in counted.items()}
    return {NET: overlap(list(counted.values()))} | layers


def _pseudo_values(
    pairs: Sequence[tuple[int, int]], values: Sequence[float], number: int
) -> np.ndarray:
    """Returns the jackknife's pseudo-values [R], whose mean is that over the pairs."""
    without = [
        np.mean([x for pair, x in zip(pairs, values, strict=True) if r not in pair])
        for r in range(number)
    ]
    result: np.ndarray = number * np.mean(values) - (number - 1) * np.array(without)
    return result
