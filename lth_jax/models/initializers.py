"""Weight initializers, by the field's names."""

from typing import Any

from jax.nn.initializers import Initializer, variance_scaling

from lth_jax.registry import Registry

_SCALES: Any = {
    "glorot": (1.0, "fan_avg"),
    "he": (2.0, "fan_in"),
    "lecun": (1.0, "fan_in"),
}
_SHAPES: Any = ("normal", "uniform", "truncated_normal")

# "normal" is the untruncated Gaussian, as in the paper (figure 2); jax's own
# `glorot_normal` and its kin truncate theirs. One of your own is (key, shape, dtype) to
# an array.
INITIALIZERS: Registry[Initializer] = Registry(
    "initializer",
    {
        f"{name}_{shape}": variance_scaling(scale, fan, shape)
        for name, (scale, fan) in _SCALES.items()
        for shape in _SHAPES
    },
)
