"""Nnx: a module of flax.nnx as a `Network`."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from lth_jax.errors import name_of
from lth_jax.models.network import Augment, Key, Network, Preprocess, adapted, in_mode


def from_nnx(
    factory: Callable[..., nnx.Module],
    example_inputs: Any,
    preprocess: Preprocess = lambda inputs: inputs,
    augment: Augment | None = None,
) -> Network:
    """A module of nnx, as a `Network` whose params are nested dicts of arrays.

    `factory(rngs=nnx.Rngs(...))` makes the module; a class of nnx is a factory. Its call,
    and the other arguments here, are as for `from_linen`. The module holds `nnx.Param`,
    `nnx.BatchStat`, and the state of `nnx.Rngs`. Dropout draws from the key of `apply`.

    Raises:
      ValueError: if the factory is a module or makes no nnx module, or if that module
        holds variables of another kind.
    """
    if isinstance(factory, nnx.Module):
        raise ValueError(
            f"factory: a {type(factory).__name__} that is made already; must be a"
            " function of rngs to one, so that every replicate draws its own"
        )
    made = factory if isinstance(factory, type) else nnx.Module
    if not (callable(factory) and issubclass(made, nnx.Module)) or isinstance(
        factory, nn.Module
    ):
        raise ValueError(
            f"factory: {name_of(factory)}; must be a class of nnx, or a function of rngs"
            " to its modules; for linen there is lth_jax.from_linen"
        )
    module: Any = nnx.eval_shape(lambda: factory(rngs=nnx.Rngs(0)))
    parts: Any = nnx.split(module, nnx.Param, nnx.BatchStat, nnx.RngState, ...)
    graph, own_params, own_stats, own_draws, others = parts
    for path, variable in nnx.to_flat_state(others):
        raise ValueError(
            f"factory: {'/'.join(map(str, path))} is a {type(variable).__name__}; must"
            " be of nnx.Param, nnx.BatchStat or nnx.RngState"
        )

    def init(key: jax.Array) -> tuple[Any, Any]:
        made = factory(rngs=nnx.Rngs(key))
        return _arrays(made, nnx.Param), _arrays(made, nnx.BatchStat)

    def call(
        params: Any, stats: Any, inputs: jax.Array, train: bool, key: Key
    ) -> tuple[Any, Any]:
        if train and key is None and jax.tree.leaves(own_draws):
            raise ValueError("key: None; the module draws in training")
        draws = _drawing(own_draws, jax.random.key(0) if key is None else key)
        states = _filled(own_params, params), _filled(own_stats, stats), draws
        live = nnx.merge(graph, *states)
        (live.train if train else live.eval)()
        logits = live(inputs, **in_mode(live, train))
        if train and jax.tree.leaves(own_stats):
            stats = _arrays(live, nnx.BatchStat)
        return logits, stats

    return adapted(from_nnx, module, init, call, example_inputs, preprocess, augment)


def _arrays(module: Any, kind: Any) -> Any:
    """A module's arrays of a kind, in nested dicts; list indices become names as "0"."""
    flat = nnx.to_flat_state(nnx.state(module, kind))
    nested = {tuple(map(str, path)): variable.get_value() for path, variable in flat}
    return unflatten_dict(nested)  # type: ignore[no-untyped-call]


def _filled(state: Any, arrays: Any) -> Any:
    """The state with these arrays, in the structure that `_arrays` returns."""
    array_of = flatten_dict(arrays)  # type: ignore[no-untyped-call]
    return _replaced(state, lambda i, path, old: array_of[tuple(map(str, path))])


def _drawing(state: Any, key: jax.Array) -> Any:
    """The state of `nnx.Rngs` that draws from a key; each stream has a key of its own."""

    def draw(i: int, path: Any, old: Any) -> jax.Array:
        is_key = isinstance(old, nnx.RngKey)
        return jax.random.fold_in(key, i) if is_key else jnp.zeros(old.shape, old.dtype)

    return _replaced(state, draw)


def _replaced(state: Any, new: Callable[[int, Any, Any], Any]) -> Any:
    """The state with arrays that `new` makes from each place, path and old array."""
    variables = enumerate(nnx.to_flat_state(state))
    return nnx.from_flat_state([(p, v.replace(new(i, p, v))) for i, (p, v) in variables])
