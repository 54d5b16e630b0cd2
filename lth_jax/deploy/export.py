"""Export: a net as a StableHLO program, which runs without this package."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import export as jax_export

from lth_jax.errors import UserError
from lth_jax.masks import Params
from lth_jax.models.network import in_mode
from lth_jax.training.state import BatchStats

PLATFORMS = ("cpu", "cuda", "tpu")
Predict = Callable[[Any], jax.Array]


class ExportError(UserError):
    """This machine's platform is none of those for which programs are written."""


def check() -> None:
    """Checks that programs run on this machine, where they are measured.

    Raises:
      ExportError: if they do not; it names the platforms on which they run.
    """
    if (platform := jax_export.default_export_platform()) not in PLATFORMS:
        raise ExportError(
            f"platform: {platform!r}; must be one of {PLATFORMS}, such as with"
            " JAX_PLATFORMS=cpu"
        )


def predictor(
    module: Any, params: Params, batch_stats: BatchStats, prepare: Callable[[Any], Any]
) -> Predict:
    """Returns a linen net as a pure function from inputs [N, ...] to logits.

    Logits are float32[N, classes]. `prepare` turns inputs as stored into the module's.
    Batch statistics are empty without batch normalisation.
    """

    def predict(inputs: Any) -> jax.Array:
        variables = {"params": params, "batch_stats": batch_stats}
        logits: Any = module.apply(variables, prepare(inputs), **in_mode(module, False))
        return jnp.asarray(logits, jnp.float32)

    return predict


def batched(example: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """Returns the shape and dtype of a batch of any number of examples: [batch, ...]."""
    shape = jax_export.symbolic_shape(", ".join(["batch", *map(str, example.shape)]))
    return jax.ShapeDtypeStruct(shape, example.dtype)


def program(predict: Predict, example: jax.ShapeDtypeStruct) -> bytes:
    """Returns a function as StableHLO for CPU, CUDA and TPU, for batches of any size.

    The program includes the weights. `jax.export.deserialize(content).call(inputs)` runs
    it, under this version of JAX and those of the next six months (as jax.export
    promises). `example` is the shape and dtype of one input, as stored.
    """
    exported = jax_export.export(jax.jit(predict), platforms=PLATFORMS)(batched(example))
    return bytes(exported.serialize())


def read(content: bytes) -> jax_export.Exported:
    """Reads a program that `program` wrote; its `call` maps a batch to logits."""
    return jax_export.deserialize(bytearray(content))
