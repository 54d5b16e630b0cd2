"""Network: a linen module as a pair of pure functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

OUTPUT_LAYER = "output"  # every model names its last layer so


class Network(NamedTuple):
    """A net as pure functions.

    Attributes:
      init: key to (params, batch statistics; empty without batch normalisation).
      apply: params, batch statistics, inputs, train, key to (float32 logits, batch
        statistics); see `lth_jax.training.Apply`.
      apply_to_ones: params, batch statistics to the float32 logits of one input that is
        1 everywhere, in evaluation; the ones reach the module as they are.
      module: of linen, that computes it of preprocessed inputs.
      remade: another module, and a function of its inputs, to that net on the same
        examples: augmented and preprocessed alike, then given to the function.
    """

    init: Callable[[jax.Array], tuple[Any, Any]]
    apply: Callable[..., tuple[jax.Array, Any]]
    apply_to_ones: Callable[[Any, Any], jax.Array]
    module: nn.Module
    remade: Callable[[nn.Module, Callable[[jax.Array], jax.Array]], "Network"]


def from_linen(
    module: nn.Module,
    example_inputs: Any,
    preprocess: Callable[[jax.Array], jax.Array] = lambda inputs: inputs,
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
) -> Network:
    """A linen module, called as `module(inputs, train=...)`, as a `Network`.

    Args:
      module: with "params" and, optionally, "batch_stats" collections; dropout draws
        from the key of `apply`.
      example_inputs: an array or `ShapeDtypeStruct` [N, ...], before preprocessing.
      preprocess: applied to every batch on the device, such as normalisation.
      augment: (key, inputs) to inputs, applied to training batches before that.
    """

    def init(key: jax.Array) -> tuple[Any, Any]:
        inputs = jnp.zeros(example_inputs.shape, example_inputs.dtype)
        variables = module.init(key, preprocess(inputs), train=False)
        return variables["params"], variables.get("batch_stats", {})

    def apply(
        params: Any,
        batch_stats: Any,
        inputs: jax.Array,
        train: bool,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, Any]:
        rngs = None
        if train and key is not None:
            augment_key, dropout_key = jax.random.split(key)
            rngs = {"dropout": dropout_key}
            if augment is not None:
                inputs = augment(augment_key, inputs)
        elif train and augment is not None:
            raise ValueError("key: None; augmentation needs one in training")
        logits, updated = module.apply(
            {"params": params, "batch_stats": batch_stats},
            preprocess(inputs),
            train=train,
            rngs=rngs,
            mutable=["batch_stats"],
        )
        found = updated.get("batch_stats", {})
        if jax.tree.leaves(found) and not jax.tree.leaves(batch_stats):
            raise ValueError(
                "batch_stats: empty, but the module has some; give `initial_state` those"
                " that `init` returned beside the params"
            )
        stats = found if jax.tree.leaves(found) else batch_stats
        return logits.astype(jnp.float32), stats

    def apply_to_ones(params: Any, batch_stats: Any) -> jax.Array:
        seen = jax.eval_shape(preprocess, example_inputs)
        logits: Any = module.apply(
            {"params": params, "batch_stats": batch_stats},
            jnp.ones((1, *seen.shape[1:]), seen.dtype),
            train=False,
        )
        result: jax.Array = logits.astype(jnp.float32)
        return result

    def remade(other: nn.Module, choose: Callable[[jax.Array], jax.Array]) -> Network:
        return from_linen(
            other, example_inputs, lambda inputs: choose(preprocess(inputs)), augment
        )

    return Network(init, apply, apply_to_ones, module, remade)
