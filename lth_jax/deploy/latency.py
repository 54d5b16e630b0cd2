"""Latency: how long calls take, timed in turn, since machines are shared and noisy."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from lth_jax.devices.members import num_cores

LEAST_REPEATS, MOST_REPEATS = 5, 100
SECONDS = 2.0  # after which there are no more than the least


def latencies(calls: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """The median seconds of each call, by name; each is called once before."""
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
    """What latencies were measured on."""
    return {
        "device": jax.devices()[0].device_kind,
        "backend": jax.default_backend(),
        "machine": platform.machine(),
        "num_cores": num_cores(),
    }
