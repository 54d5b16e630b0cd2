"""Leaves: which leaves of the params are weights, and what their axes mean.

Told by path and shape and, where modules are nodes of the pytree (equinox), by their
classes. linen and nnx name weights `kernel`, haiku `w`, both [pixels..., in, out];
equinox names them `weight`, [out, in, pixels...].
"""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

# Words in the names of what shifts, scales or looks up instead of multiplying.
_SHIFTS = {"bias", "scale", "offset", "gamma", "beta", "cls", "token", "tokens"}
_LOOKUPS = {"emb", "embed", "embedding", "embeddings", "wte", "wpe"}
_NORMS = {"norm", "layernorm", "batchnorm", "groupnorm", "rmsnorm", "ln", "bn", "gn"}
_ATTENTION = {"attention", "attn", "mha"}


class Path(str):
    """Where a leaf is, such as "dense_0/kernel".

    Attributes:
      owner: the class of the module that has it, where that is a node of the pytree.
    """

    owner: type | None

    def __new__(cls, path: str, owner: type | None = None) -> "Path":
        """A string that knows its owner."""
        self = super().__new__(cls, path)
        self.owner = owner
        return self


class Axes(NamedTuple):
    """Along which axes of a weight a unit reads, and which axes number the units.

    All others are pixels.
    """

    inputs: tuple[int, ...]
    units: tuple[int, ...]

    def matrices(self, leaf: Any) -> Any:
        """The leaf as [pixels, inputs, units]."""
        return leaf.transpose(self._order(leaf.ndim)).reshape(-1, *self.shape(leaf)[-2:])

    def shape(self, leaf: Any) -> tuple[int, ...]:
        """(pixels..., inputs, units): the number of each."""
        read, units = (math.prod(leaf.shape[a] for a in axes) for axes in self)
        pixels = self._order(leaf.ndim)[: -len(self.inputs + self.units)]
        return (*(leaf.shape[axis] for axis in pixels), read, units)

    def restored(self, matrices: Any, shape: tuple[int, ...]) -> Any:
        """A leaf of this shape from what `matrices` gave."""
        order = self._order(len(shape))
        back = [order.index(axis) for axis in range(len(shape))]
        return matrices.reshape([shape[axis] for axis in order]).transpose(back)

    def _order(self, ndim: int) -> list[int]:
        named = [*self.inputs, *self.units]
        return [axis for axis in range(ndim) if axis not in named] + named


AxesOf = Callable[[str, Any], Axes]  # of (path, leaf)


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """The leaves of a pytree with their paths, in `tree_flatten` order."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(_path(tree, keys), leaf) for keys, leaf in leaves]


def default_prunable(path: str, leaf: Any) -> bool:
    """Whether a leaf multiplies what a layer reads: a kernel, of whatever framework.

    Never a bias, a normalisation, an embedding, a class token, or less than two axes.
    """
    *parents, name = _parts(path)
    owner = _words(getattr(getattr(path, "owner", None), "__name__", ""))
    above = _words(parents[-1]) if parents else set()
    if leaf.ndim < 2 or _words(name) & (_SHIFTS | _LOOKUPS):
        return False
    if name == "b":  # haiku's bias; the second matrix of many a plain dict
        return leaf.size > max(leaf.shape) and not above & _SHIFTS
    # Of other frameworks' weights the module tells, by its class or by its name.
    return not (owner | (above if name == "weight" else set())) & (_LOOKUPS | _NORMS)


def axes_of(path: str, leaf: Any) -> Axes:
    """What the axes of a weight mean, by the conventions of its framework.

    Raises:
      ValueError: naming the leaf, where these do not tell.
    """
    *parents, name = _parts(path)
    around = set[str]().union(*map(_words, parents))
    above = _words(parents[-1]) if parents else set()
    ndim = leaf.ndim
    if name.startswith("weight"):
        if (getattr(path, "owner", None) or int).__module__.startswith("equinox"):
            return Axes((1,), (0,))
    elif name == "w" and "transpose" in above:  # haiku's
        return Axes((ndim - 1,), (ndim - 2,))
    elif ndim == 2 or "conv" in above or (name in ("kernel", "w") and ndim > 3):
        if "general" not in above:
            return Axes((ndim - 2,), (ndim - 1,))
    elif name == "kernel" and above & {"query", "key", "value"}:
        return Axes((0,), tuple(range(1, ndim)))
    elif name == "kernel" and "out" in above and around & _ATTENTION:
        return Axes(tuple(range(ndim - 1)), (ndim - 1,))
    raise ValueError(
        f"axes: None; {path} {list(leaf.shape)} does not tell which axes are inputs and"
        " which units; give axes=, (path, leaf) to lth_jax.leaves.Axes"
    )


def _parts(path: str) -> list[str]:
    """The names on a path; nnx wraps each param once more, as "value"."""
    parts = path.split("/")
    return parts[:-1] if len(parts) > 1 and parts[-1] == "value" else parts


def _words(name: str) -> set[str]:
    """The lower-case words in a name: of "MultiHeadAttention_0" the three."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def _path(tree: Any, keys: tuple[Any, ...]) -> Path:
    text, node = jax.tree_util.keystr(keys, simple=True, separator="/"), tree
    for key in keys[:-1]:
        if isinstance(key, jax.tree_util.GetAttrKey):
            node = getattr(node, key.name)
        elif isinstance(key, jax.tree_util.DictKey | jax.tree_util.SequenceKey):
            node = node[getattr(key, "key", getattr(key, "idx", None))]
        else:
            return Path(text)
    is_owned = bool(keys) and isinstance(keys[-1], jax.tree_util.GetAttrKey)
    return Path(text, type(node) if is_owned else None)
