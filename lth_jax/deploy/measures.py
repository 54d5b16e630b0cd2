"""Measures: what a compact net costs, gets right and takes, beside the net it is of."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.deploy.export import Predict, predictor
from lth_jax.deploy.latency import latencies
from lth_jax.masks import Masks, Params
from lth_jax.shrinking.compact import Compact
from lth_jax.shrinking.cost import cost
from lth_jax.training.losses import Examples
from lth_jax.training.state import BatchStats

BATCH_SIZES = (1, 256)  # whose latency is measured
_TEST_BATCH = 1000
# Far above what rounding comes to, TF32 on a GPU included; far below any other reason.
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
    """Params, bytes and multiply-adds of the dense, the masked and the compact net.

    The masked net's are those that its masks keep; it stores its zeros all the same.

    Args:
      large: as trained.
      net: the compact one of it.
      normalize: the preprocessing of the large net.
      example: a `ShapeDtypeStruct`, one input as stored.
    """
    batch = jax.ShapeDtypeStruct((1, *example.shape), example.dtype)
    seen = jax.eval_shape(lambda x: net.inputs(normalize(x)), batch)
    whole = cost(*large[:3], example.shape, large.batch_stats, seen.dtype)
    small = cost(*net[:3], seen.shape[1:], net.batch_stats, seen.dtype)

    def counts(num_params: int, num_bytes: int, multiply_adds: int) -> dict[str, int]:
        return {
            "num_params": num_params,
            "num_bytes": num_bytes,
            "multiply_adds": multiply_adds,
        }

    return {
        "dense": counts(whole.num_params, whole.num_bytes, whole.multiply_adds),
        "masked": counts(
            whole.num_live_params, whole.num_bytes, whole.live_multiply_adds
        ),
        "compact": counts(small.num_params, small.num_bytes, small.multiply_adds),
    }


def metric(test: Examples) -> str:
    """What `accuracies` measures: of numbers, unlike classes, their squared error."""
    classifies = np.issubdtype(test.labels.dtype, np.integer)
    return "test_accuracy" if classifies else "test_squared_error"


def accuracies(
    large: Masked, program: Predict, normalize: Callable[[Any], Any], test: Examples
) -> dict[str, Any]:
    """What `metric` says of the masked net and the program, and how logits differ.

    Args:
      large: the net as trained.
      program: the compact one's, as it was written.
      normalize: the preprocessing of the large net.
      test: inputs as stored.

    Raises:
      RuntimeError: where logits differ by more than rounding.
    """
    masked = masks_lib.apply(large.masks, large.params)
    predict = predictor(large.module, masked, large.batch_stats, normalize)
    expected, found = _logits(predict, test.inputs), _logits(program, test.inputs)
    difference, largest = np.abs(found - expected).max(), np.abs(expected).max()
    if not difference <= _TOLERANCE * largest:  # also where one is NaN
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
    """Latency of the large net and of the program, by batch size ("batch_1").

    Args:
      large: any of its size: a masked net takes as long as a dense one.
      program: the compact one's, as it was written.
      normalize: the preprocessing of the large net.
      inputs: some as stored, repeated where a batch has more.
    """
    dense = jax.jit(predictor(large.module, large.params, large.batch_stats, normalize))
    compact = jax.jit(program)
    by_batch = {}
    for size in BATCH_SIZES:
        batch = jax.device_put(np.asarray(inputs)[np.arange(size) % len(inputs)])
        calls = {"dense": dense, "compact": compact}
        by_batch[f"batch_{size}"] = latencies(
            {name: functools.partial(call, batch) for name, call in calls.items()}
        )
    return by_batch
