"""Measures: cost, accuracy and latency of a compact net and of the large net."""

import functools
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.deploy.export import Predict, predictor
from lth_jax.devices import num_cores
from lth_jax.masks import Masks, Params
from lth_jax.shrinking.compact import Compact
from lth_jax.shrinking.cost import cost
from lth_jax.training.losses import Examples
from lth_jax.training.state import BatchStats

BATCH_SIZES = (1, 256)  # batches whose latency is measured
LEAST_REPEATS, MOST_REPEATS = 5, 100
SECONDS = 2.0  # after which repeats stop, once there are at least LEAST_REPEATS
_TEST_BATCH = 1000
# Relative. Far above rounding, even that of TF32 on a GPU; far below any real error.
_TOLERANCE = 0.01


class Masked(NamedTuple):
    """The large net: its module, weights, masks and running statistics."""

    module: Any
    params: Params
    masks: Masks
    batch_stats: BatchStats


def costs(
    large: Masked, net: Compact, normalize: Callable[[Any], Any], example: Any
) -> dict[str, dict[str, int]]:
    """Returns params, bytes and multiply-adds of the dense, masked and compact nets.

    For the masked net, only kept weights count as params and in multiply-adds. Its bytes
    include the zeros that it stores. `normalize` preprocesses the large net's inputs, in
    all functions here. `example` is a `ShapeDtypeStruct`, one input as stored.
    """
    batch = jax.ShapeDtypeStruct((1, *example.shape), example.dtype)
    seen = jax.eval_shape(lambda x: net.inputs(normalize(x)), batch)
    whole = cost(*large[:3], example.shape, large.batch_stats, seen.dtype)
    small = cost(*net[:3], seen.shape[1:], net.batch_stats, seen.dtype)
    counts = {
        "dense": (whole.num_params, whole.num_bytes, whole.multiply_adds),
        "masked": (whole.num_live_params, whole.num_bytes, whole.live_multiply_adds),
        "compact": (small.num_params, small.num_bytes, small.multiply_adds),
    }
    names = ("num_params", "num_bytes", "multiply_adds")
    return {name: dict(zip(names, own, strict=True)) for name, own in counts.items()}


def metric(test: Examples) -> str:
    """Returns the name of what `accuracies` measures.

    It is "test_accuracy" if labels are integers, else "test_squared_error".
    """
    classifies = np.issubdtype(test.labels.dtype, np.integer)
    return "test_accuracy" if classifies else "test_squared_error"


def accuracies(
    large: Masked, program: Predict, normalize: Callable[[Any], Any], test: Examples
) -> dict[str, Any]:
    """Returns the `metric` of the masked net and of the compact program.

    It also returns the number of examples, the largest logit of the masked net, and the
    largest difference between their logits.

    Raises:
      RuntimeError: if logits differ by more than rounding.
    """
    masked = masks_lib.apply(large.masks, large.params)
    predict = predictor(large.module, masked, large.batch_stats, normalize)
    expected, found = _logits(predict, test.inputs), _logits(program, test.inputs)
    difference, largest = np.abs(found - expected).max(), np.abs(expected).max()
    if not difference <= _TOLERANCE * largest:  # true for NaN too
        raise RuntimeError(
            f"the compact net's logits differ by {difference} from the masked net's,"
            f" which are at most {largest}"
        )
    labels, classifies = np.asarray(test.labels), metric(test) == "test_accuracy"

    def measured(logits: np.ndarray) -> float:
        right = logits.argmax(-1) == labels if classifies else (logits - labels) ** 2
        return float(np.mean(right))

    return {
        "num_examples": len(labels),
        "masked": measured(expected),
        "compact": measured(found),
        "largest_difference_of_logits": float(difference),
        "largest_logit": float(largest),
    }


def _logits(predict: Predict, inputs: Any) -> np.ndarray:
    call = jax.jit(predict)
    starts = range(0, len(inputs), _TEST_BATCH)
    return np.concatenate([call(inputs[i : i + _TEST_BATCH]) for i in starts])


def median_seconds(
    large: Masked, program: Predict, normalize: Callable[[Any], Any], inputs: Any
) -> dict[str, dict[str, float]]:
    """Returns the latencies of the large net and the compact program, in seconds.

    They are by batch ("batch_1"), then by net. Masks do not matter: a masked net takes as
    long as a dense one. `inputs` are as stored, and repeat if a batch needs more.
    """
    dense = predictor(large.module, large.params, large.batch_stats, normalize)
    nets = {"dense": jax.jit(dense), "compact": jax.jit(program)}
    by_batch = {}
    for size in BATCH_SIZES:
        batch = jax.device_put(np.asarray(inputs)[np.arange(size) % len(inputs)])
        calls = {name: functools.partial(net, batch) for name, net in nets.items()}
        by_batch[f"batch_{size}"] = latencies(calls)
    return by_batch


def latencies(calls: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Returns the median seconds of each call, by name, after one untimed call of each.

    The calls are timed in turn, because machines are shared and noisy.
    """
    for call in calls.values():
        jax.block_until_ready(call())
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    first = time.perf_counter()
    for repeat in range(MOST_REPEATS):
        if repeat >= LEAST_REPEATS and time.perf_counter() - first > SECONDS:
            break
        for name, call in calls.items():
            began = time.perf_counter()
            jax.block_until_ready(call())
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def machine() -> dict[str, Any]:
    """Returns the device, the backend and the machine on which latencies are measured."""
    return {
        "device": jax.devices()[0].device_kind,
        "backend": jax.default_backend(),
        "machine": platform.machine(),
        "num_cores": num_cores(),
    }
