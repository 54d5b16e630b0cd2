"""Survivors: the inits of a study's tickets by layer, and their units' connections."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from lth_jax.analysis import intervals
from lth_jax.analysis.intervals import Bounds, Estimate
from lth_jax.analysis.survivors import connections, inits
from lth_jax.leaves import told_axes

_Leaves = Mapping[str, np.ndarray]  # [R, ...] by path
_POSITIVE: Bounds = (0.0, np.inf)


def of_all(init: _Leaves) -> dict[str, dict[str, Any]]:
    """Returns the distribution of all weights' inits by layer, and the largest |init|."""
    return {
        path: {
            "reach": (reach := _reach(leaf)),
            "density": _inits(leaf, np.ones(leaf.shape, bool), reach)["density"],
        }
        for path, leaf in init.items()
    }


def survivors(init: _Leaves, kept: _Leaves) -> dict[str, dict[str, Any]]:
    """Returns the inits and the connections of a level's survivors, by layer.

    Connections are None for layers whose axes are unknown.
    """
    return {
        path: {
            "inits": _inits(init[path], mask, _reach(init[path])),
            "connections": _connections(path, mask),
        }
        for path, mask in kept.items()
    }


def _reach(init: np.ndarray) -> float:
    """Returns the largest |init|, where the bins of the distribution end."""
    return float(np.abs(init).max()) or 1.0


def _inits(init: np.ndarray, kept: np.ndarray, reach: float) -> dict[str, Any]:
    found = jax.device_get(jax.jit(jax.vmap(inits, (0, 0, None)))(init, kept, reach))
    return {
        "density": _means(found.density),
        "size": _estimate(found.size, _POSITIVE),
        "positive": _estimate(found.positive, (0.0, 1.0)),
    }


def _connections(path: str, kept: np.ndarray) -> dict[str, Any] | None:
    """Returns the connections into each unit, and those out of each input."""
    axes = told_axes(path, kept[0])
    if axes is None:
        return None
    matrices = np.stack([axes.matrices(mask) for mask in kept])  # [R, pixels, in, out]
    by_direction = {"incoming": matrices, "outgoing": matrices.swapaxes(2, 3)}
    each, shown = jax.jit(jax.vmap(connections)), {}
    for direction, own in by_direction.items():
        found = jax.device_get(each(own.reshape(len(kept), -1, own.shape[-1])))
        shown[direction] = {
            "shares": _means(found.shares),
            "unevenness": _estimate(found.unevenness, _POSITIVE),
        }
    return shown


def _means(values: np.ndarray) -> list[float] | None:
    """Returns means over the replicates; None if any value is NaN."""
    return None if np.isnan(values).any() else [float(x) for x in values.mean(0)]


def _estimate(values: np.ndarray, bounds: Bounds) -> Estimate:
    if np.isnan(values).any():
        return intervals.NONE
    return intervals.mean(np.asarray(values, float), bounds=bounds)
