"""Network: a linen module as a pair of pure functions."""

import inspect
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
      module: of linen or nnx, that computes it of preprocessed inputs.
      remade: another module, and a function of its inputs, to that net on the same
        examples: augmented and preprocessed alike, then given to the function.
    """

    init: Callable[[jax.Array], tuple[Any, Any]]
    apply: Callable[..., tuple[jax.Array, Any]]
    apply_to_ones: Callable[[Any, Any], jax.Array]
    module: Any
    remade: Callable[[Any, Callable[[jax.Array], jax.Array]], "Network"]


# Arguments that tell a module's call whether it trains, and their values where it does.
_MODES = {"train": True, "training": True, "deterministic": False}


def in_mode(module: Any, train: bool) -> dict[str, Any]:
    """What a module's call takes to train, or to evaluate; nothing if it asks nothing."""
    taken = inspect.signature(type(module).__call__).parameters
    return {name: value == train for name, value in _MODES.items() if name in taken}


def from_linen(
    module: nn.Module,
    example_inputs: Any,
    preprocess: Callable[[jax.Array], jax.Array] = lambda inputs: inputs,
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
) -> Network:
    """A linen module, called as `module(inputs, train=...)`, as a `Network`.

    Args:
      module: with "params" and, optionally, "batch_stats" collections, and no others;
        dropout draws from the key of `apply`. It may have no argument `train`, or in its
        place `training` or `deterministic`.
      example_inputs: an array or `ShapeDtypeStruct` [N, ...], before preprocessing.
      preprocess: applied to every batch on the device, such as normalisation.
      augment: (key, inputs) to inputs, applied to training batches before that.
    """

    def init(key: jax.Array) -> tuple[Any, Any]:
        inputs = jnp.zeros(example_inputs.shape, example_inputs.dtype)
        variables = module.init(key, preprocess(inputs), **in_mode(module, False))
        if others := sorted(variables.keys() - {"params", "batch_stats"}):
            raise ValueError(
                f"module: {type(module).__name__} has a collection {others[0]!r}; must"
                " have no others than 'params' and 'batch_stats'"
            )
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
            **in_mode(module, train),
            rngs=rngs,
            mutable=["batch_stats"],
        )
        found = updated.get("batch_stats", {})
        if jax.tree.leaves(found) and not jax.tree.leaves(batch_stats):
            raise ValueError(
                "batch_stats: empty, but the module has some; give `initial_state` those"
                " that `init` returned beside the params"
            )
        stats = found if train and jax.tree.leaves(found) else batch_stats
        return logits.astype(jnp.float32), stats

    def apply_to_ones(params: Any, batch_stats: Any) -> jax.Array:
        seen = jax.eval_shape(preprocess, example_inputs)
        logits: Any = module.apply(
            {"params": params, "batch_stats": batch_stats},
            jnp.ones((1, *seen.shape[1:]), seen.dtype),
            **in_mode(module, False),
        )
        result: jax.Array = logits.astype(jnp.float32)
        return result

    def remade(other: Any, choose: Callable[[jax.Array], jax.Array]) -> Network:
        return from_linen(
            other, example_inputs, lambda inputs: choose(preprocess(inputs)), augment
        )

    return Network(init, apply, apply_to_ones, module, remade)
