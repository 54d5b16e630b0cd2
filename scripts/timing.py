"""Functions that benchmarks share: timing in turn, ratios, and lines of JSON."""

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def timed(
    functions: dict[str, Callable[[], Any]], repeats: int
) -> dict[str, list[float]]:
    """Returns the seconds of each function, called in turn after a warm-up call."""
    for function in functions.values():
        jax.block_until_ready(function())
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            began = time.perf_counter()
            jax.block_until_ready(function())
            seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio(numerator: list[float], denominator: list[float]) -> float:
    """Returns the median of the ratios of two functions' times, repeat by repeat."""
    pairs = zip(numerator, denominator, strict=True)
    return round(statistics.median(a / b for a, b in pairs), 3)


def report(name: str, **values: Any) -> None:
    """Prints one measurement."""
    device = jax.devices()[0].device_kind
    print(json.dumps({"measurement": name, "device": device, **values}), flush=True)


def matrix_product() -> tuple[Callable[[], jax.Array], int]:
    """Returns a function that computes a large float32 matrix product, and its FLOPs."""
    size = 8192 if jax.default_backend() == "gpu" else 2048
    matrix = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(lambda a: jnp.matmul(a, a))
    return lambda: product(matrix), 2 * size**3
