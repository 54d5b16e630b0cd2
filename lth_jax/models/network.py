"""Network: a module as a pair of pure functions."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from lth_jax.errors import name_of

OUTPUT_LAYER = "output"  # the name of the last layer in every model

Preprocess = Callable[[jax.Array], jax.Array]
Augment = Callable[[jax.Array, jax.Array], jax.Array]
Key = jax.Array | None


class Network(NamedTuple):
    """A net as pure functions.

    Attributes:
      init: takes a key, and returns params and batch statistics (empty without batch
        normalisation).
      apply: takes params, batch statistics, inputs, train and key, and returns float32
        logits and batch statistics; see `lth_jax.training.Apply`.
      apply_to_ones: takes params and batch statistics, and returns the float32 logits of
        one input of ones, in evaluation; the ones are not preprocessed.
      module: the linen or nnx module, which takes preprocessed inputs.
      remade: takes another module and a function, and returns its `Network`, which
        augments and preprocesses as this one and then applies the function.
    """

    init: Callable[[jax.Array], tuple[Any, Any]]
    apply: Callable[..., tuple[jax.Array, Any]]
    apply_to_ones: Callable[[Any, Any], jax.Array]
    module: Any
    remade: Callable[[Any, Preprocess], "Network"]


# Arguments of a module's call that set its mode, with their values in training.
_MODES = {"train": True, "training": True, "deterministic": False}


def in_mode(module: Any, train: bool) -> dict[str, Any]:
    """The arguments that set a module's call to training or evaluation, if it has any."""
    taken = inspect.signature(type(module).__call__).parameters
    return {name: value == train for name, value in _MODES.items() if name in taken}


def from_linen(
    module: nn.Module,
    example_inputs: Any,
    preprocess: Preprocess = lambda inputs: inputs,
    augment: Augment | None = None,
) -> Network:
    """A linen module, called as `module(inputs, train=...)`, as a `Network`.

    Args:
      module: has a collection "params", optionally "batch_stats", and no others. Dropout
        draws from the key of `apply`. Its call may have `training` or `deterministic` in
        place of `train`, or none of these.
      example_inputs: an array or `ShapeDtypeStruct` [N, ...], before preprocessing.
      preprocess: applied to every batch on the device, such as normalisation.
      augment: a function of (key, inputs), applied to training batches before
        `preprocess`.

    Raises:
      ValueError: if `module` is no linen module.
    """
    if not isinstance(module, nn.Module):
        raise ValueError(
            f"module: {name_of(module)}; must be a module of linen, not its class; for"
            " nnx there is lth_jax.from_nnx, for others their own functions"
        )

    def init(key: jax.Array) -> tuple[Any, Any]:
        inputs = jnp.zeros(example_inputs.shape, example_inputs.dtype)
        variables = module.init(key, preprocess(inputs), **in_mode(module, False))
        if others := sorted(variables.keys() - {"params", "batch_stats"}):
            raise ValueError(
                f"module: {type(module).__name__} has a collection {others[0]!r}; must"
                " have no others than 'params' and 'batch_stats'"
            )
        return variables["params"], variables.get("batch_stats", {})

    def call(
        params: Any, stats: Any, inputs: jax.Array, train: bool, key: Key
    ) -> tuple[Any, Any]:
        rngs = None
        if train and key is not None:  # augmentation, if any, took the first half
            rngs = {"dropout": key if augment else jax.random.split(key)[1]}
        variables, mode = {"params": params, "batch_stats": stats}, in_mode(module, train)
        logits, updated = module.apply(
            variables, inputs, **mode, rngs=rngs, mutable=["batch_stats"]
        )
        found = updated.get("batch_stats", {})
        if jax.tree.leaves(found) and not jax.tree.leaves(stats):
            raise ValueError(
                "batch_stats: empty, but the module has some; give `initial_state` those"
                " that `init` returned beside the params"
            )
        return logits, found if train and jax.tree.leaves(found) else stats

    return adapted(from_linen, module, init, call, example_inputs, preprocess, augment)


def adapted(
    make: Callable[..., Network],
    module: Any,
    init: Callable[[jax.Array], tuple[Any, Any]],
    call: Callable[..., tuple[Any, Any]],
    example_inputs: Any,
    preprocess: Preprocess,
    augment: Augment | None,
) -> Network:
    """A `Network` of a module of any kind.

    `make` makes the networks of this kind of module. `call` has the arguments of `apply`,
    but with augmented and preprocessed inputs, and with the key that augmentation left.
    """

    def apply(
        params: Any, batch_stats: Any, inputs: jax.Array, train: bool, key: Key = None
    ) -> tuple[jax.Array, Any]:
        if train and augment is not None:
            if key is None:
                raise ValueError("key: None; augmentation needs one in training")
            augment_key, key = jax.random.split(key)
            inputs = augment(augment_key, inputs)
        logits, stats = call(params, batch_stats, preprocess(inputs), train, key)
        return logits.astype(jnp.float32), stats

    def apply_to_ones(params: Any, batch_stats: Any) -> jax.Array:
        seen = jax.eval_shape(preprocess, example_inputs)
        ones = jnp.ones((1, *seen.shape[1:]), seen.dtype)
        logits: jax.Array = call(params, batch_stats, ones, False, None)[0]
        return logits.astype(jnp.float32)

    def remade(other: Any, choose: Preprocess) -> Network:
        return make(other, example_inputs, lambda x: choose(preprocess(x)), augment)

    return Network(init, apply, apply_to_ones, module, remade)
