"""Network: a linen module as a pair of pure functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax

OUTPUT_LAYER = "output"  # every model names its last layer so


class Network(NamedTuple):
    """A net as pure functions.

    Attributes:
      init: key to (params, batch statistics; empty without batch normalisation).
      apply: params, batch statistics, inputs, train to (logits, batch statistics).
    """

    init: Callable[[jax.Array], tuple[Any, Any]]
    apply: Callable[[Any, Any, jax.Array, bool], tuple[jax.Array, Any]]


def from_linen(
    module: nn.Module,
    example_inputs: Any,
    preprocess: Callable[[jax.Array], jax.Array] = lambda inputs: inputs,
) -> Network:
    """A linen module, called as `module(inputs, train=...)`, as a `Network`.

    Args:
      module: with "params" and, optionally, "batch_stats" collections.
      example_inputs: an array or `ShapeDtypeStruct` [N, ...], before preprocessing.
      preprocess: applied to every batch on the device, such as normalisation.
    """

    def init(key: jax.Array) -> tuple[Any, Any]:
        inputs = jax.numpy.zeros(example_inputs.shape, example_inputs.dtype)
        variables = module.init(key, preprocess(inputs), train=False)
        return variables["params"], variables.get("batch_stats", {})

    def apply(
        params: Any, batch_stats: Any, inputs: jax.Array, train: bool
    ) -> tuple[jax.Array, Any]:
        variables = {"params": params, "batch_stats": batch_stats}
        logits, updated = module.apply(
            variables, preprocess(inputs), train=train, mutable=["batch_stats"]
        )
        found = updated.get("batch_stats", {})
        if jax.tree.leaves(found) and not jax.tree.leaves(batch_stats):
            raise ValueError(
                "batch_stats: empty, but the module has some; give `initial_state` those"
                " that `init` returned beside the params"
            )
        return logits, found if jax.tree.leaves(found) else batch_stats

    return Network(init, apply)
