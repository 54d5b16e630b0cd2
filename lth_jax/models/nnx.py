"""Nnx: a module of flax.nnx as a `Network`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from lth_jax.models.network import Network, in_mode


def from_nnx(
    factory: Callable[..., nnx.Module],
    example_inputs: Any,
    preprocess: Callable[[jax.Array], jax.Array] = lambda inputs: inputs,
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
) -> Network:
    """A module of nnx, as a `Network` whose params are nested dicts of arrays.

    Args:
      factory: called as `factory(rngs=nnx.Rngs(...))`, such as a module's class. Its
        modules hold `nnx.Param`, `nnx.BatchStat`, and the state of `nnx.Rngs`; dropout
        draws from the key of `apply`. They are called as those of `from_linen`.
      example_inputs: as in `from_linen`.
      preprocess: as in `from_linen`.
      augment: as in `from_linen`.

    Raises:
      ValueError: if the factory is a module, or makes one that holds anything else.
    """
    if isinstance(factory, nnx.Module):
        raise ValueError(
            f"factory: a {type(factory).__name__} that is made already; must be a"
            " function of rngs to one, so that every replicate draws its own"
        )
    module: Any = nnx.eval_shape(lambda: factory(rngs=nnx.Rngs(0)))
    parts: Any = nnx.split(module, nnx.Param, nnx.BatchStat, nnx.RngState, ...)
    graph, *states, others = parts
    for path, variable in nnx.to_flat_state(others):
        raise ValueError(
            f"factory: {'/'.join(map(str, path))} is a {type(variable).__name__}; must"
            " be of nnx.Param, nnx.BatchStat or nnx.RngState"
        )

    def init(key: jax.Array) -> tuple[Any, Any]:
        made = factory(rngs=nnx.Rngs(key))
        return _arrays(nnx.state(made, nnx.Param)), _arrays(
            nnx.state(made, nnx.BatchStat)
        )

    def called(
        params: Any, stats: Any, inputs: jax.Array, train: bool, key: jax.Array | None
    ) -> tuple[jax.Array, Any]:
        if train and key is None and jax.tree.leaves(states[2]):
            raise ValueError("key: None; the module draws in training")
        drawing = _drawing(states[2], jax.random.key(0) if key is None else key)
        live = nnx.merge(
            graph, _filled(states[0], params), _filled(states[1], stats), drawing
        )
        if train:
            live.train()
        else:
            live.eval()
        logits = live(inputs, **in_mode(live, train))
        if train and jax.tree.leaves(states[1]):
            stats = _arrays(nnx.state(live, nnx.BatchStat))
        return logits.astype(jnp.float32), stats

    def apply(
        params: Any,
        batch_stats: Any,
        inputs: jax.Array,
        train: bool,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, Any]:
        if train and augment is not None:
            if key is None:
                raise ValueError("key: None; augmentation needs one in training")
            augment_key, key = jax.random.split(key)
            inputs = augment(augment_key, inputs)
        return called(params, batch_stats, preprocess(inputs), train, key)

    def apply_to_ones(params: Any, batch_stats: Any) -> jax.Array:
        seen = jax.eval_shape(preprocess, example_inputs)
        ones = jnp.ones((1, *seen.shape[1:]), seen.dtype)
        return called(params, batch_stats, ones, False, None)[0]

    def remade(other: Any, choose: Callable[[jax.Array], jax.Array]) -> Network:
        return from_nnx(other, example_inputs, lambda x: choose(preprocess(x)), augment)

    return Network(init, apply, apply_to_ones, module, remade)


def _arrays(state: Any) -> Any:
    """Nested dicts of a state's arrays; a list's places are names, as "0"."""
    flat = nnx.to_flat_state(state)
    nested = {tuple(map(str, path)): variable.get_value() for path, variable in flat}
    return unflatten_dict(nested)  # type: ignore[no-untyped-call]


def _filled(state: Any, arrays: Any) -> Any:
    """The state with the arrays that `_arrays` gave of it, or of one like it."""
    array_of = flatten_dict(arrays)  # type: ignore[no-untyped-call]
    return nnx.from_flat_state(
        [
            (path, variable.replace(array_of[tuple(map(str, path))]))
            for path, variable in nnx.to_flat_state(state)
        ]
    )


def _drawing(state: Any, key: jax.Array) -> Any:
    """The state of `nnx.Rngs` that draws from a key, each stream its own."""
    return nnx.from_flat_state(
        [
            (path, v.replace(_draw(v, jax.random.fold_in(key, i))))
            for i, (path, v) in enumerate(nnx.to_flat_state(state))
        ]
    )


def _draw(variable: Any, key: jax.Array) -> jax.Array:
    is_key = isinstance(variable, nnx.RngKey)
    return key if is_key else jnp.zeros(variable.shape, variable.dtype)
